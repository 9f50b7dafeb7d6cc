"""moving_shapes: synthetic videos and expressions about appearance and motion."""
