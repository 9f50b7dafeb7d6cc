"""Small tracker with its weights: SAM 2's classes around a small trunk, 3.2 M parameters."""
