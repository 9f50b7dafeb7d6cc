"""Evaluation of a selector: scores, selections, the oracle and other baselines."""
