"""One race: its branches, its decision, and its time."""
