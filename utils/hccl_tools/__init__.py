"""Rank tables of Ascend servers: written and checked."""
