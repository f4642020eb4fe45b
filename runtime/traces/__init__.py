"""Recorded races as files: writing them, reading them, and the public forms that hold the like."""
