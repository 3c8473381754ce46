"""Synthetic rows with a known teacher behind their labels, one file a kind of rows.

Every random number is a hash of (seed, row, column): a row does not depend on the block or thread that makes it. The
teachers do not depend on the seed, so files of equal size and different seeds are samples of one world.
"""
