"""What a request asks for, and how much it may ask."""
