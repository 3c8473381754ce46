"""What the benchmarks share: contenders and their turns, drawn batches, networks, figures, flags."""
