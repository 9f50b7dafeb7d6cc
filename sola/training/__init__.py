"""Training of the selector on generated tracks."""
