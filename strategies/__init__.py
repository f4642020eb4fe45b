"""Pure decisions: strategies and stop rules, without a clock, I/O or an await."""

if __name__ == "strategies":  # reached by folder name from the checkout, not as the package
    raise ImportError("import frontrunner.strategies (run: pip install -e .)")
