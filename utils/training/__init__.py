"""Training and evaluation: the step, the loop, metrics and checkpoints."""
