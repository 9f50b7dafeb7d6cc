"""Measuring a selector: its scores, what they select, and what else could have been selected."""
