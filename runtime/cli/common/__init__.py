"""What commands and displays are built on: the process and its streams, questions, races."""
