"""``sola app``: answer sentences about videos in the browser."""
