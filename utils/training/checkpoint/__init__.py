"""Checkpoints: their files, what they say about themselves, their folder, and how they are written and read."""
