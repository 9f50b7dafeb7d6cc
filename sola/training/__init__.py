"""Training of the selector on tracks that were generated before."""
