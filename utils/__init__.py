"""The engine: everything the models share, and no model's name."""
