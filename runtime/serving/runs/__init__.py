"""Races whose client may leave and come back: what they have said is kept while it may be read."""
