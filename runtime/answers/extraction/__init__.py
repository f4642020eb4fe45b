"""Finding the answer in the text of a branch, by kind."""
