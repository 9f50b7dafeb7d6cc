"""Small tracker: SAM 2 classes around a small trunk, 3.2 M parameters, with its weights."""
