"""From what a caller asks to the tokens that the engine gets."""
