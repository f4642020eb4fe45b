"""Branches that act: agents of a user's own as branches, and tools inside branches."""
