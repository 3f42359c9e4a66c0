"""What a user does with a gallery."""
