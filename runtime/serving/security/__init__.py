"""Who may use the server: keys, and the origins of pages in browsers."""
