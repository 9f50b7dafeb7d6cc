"""Prediction on a user's own clip."""
