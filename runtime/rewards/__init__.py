"""Reward models: what scores branches, whole or part."""
