"""Pruning where the weights lie: on a GPU."""
