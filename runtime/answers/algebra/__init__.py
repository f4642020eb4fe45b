"""Keys of formulas, from processes that can be killed."""
