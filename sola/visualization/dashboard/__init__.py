"""What a run shows while it works, in W&B, TensorBoard or a CSV file."""
