"""What networks are made of, one idea a file."""
