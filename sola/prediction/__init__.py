"""Prediction: masks of the tracks that each expression refers to, submissions, clips."""
