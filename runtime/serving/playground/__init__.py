"""The page in the browser, and what its form offers."""
