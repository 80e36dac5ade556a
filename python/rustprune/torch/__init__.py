"""Pruning torch models."""
