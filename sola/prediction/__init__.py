"""Prediction of masks for each expression of a split or clip, and submissions."""
