"""The options and help texts of the commands, one module each; they import nothing heavy."""
