"""What people look at: masks to hand in and pictures of answers."""
