"""Training beside PyTorch: speed, memory, start-up."""
