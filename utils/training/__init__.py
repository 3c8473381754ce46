"""Training and evaluation: the step, the loop and metrics."""
