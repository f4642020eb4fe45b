"""What all APIs say of a race: its content, its usage, its course."""
