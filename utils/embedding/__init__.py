"""Embedding tables: who holds which rows, how they are looked up and trained."""
