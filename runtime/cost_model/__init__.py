"""What a step of an engine costs, and how many draft tokens it accepts: formulas and their fit."""
