"""Which answers are the same vote."""
