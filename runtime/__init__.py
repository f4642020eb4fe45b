"""Everything that awaits: races, engines, answers, rewards, planning, serving."""

if __name__ == "runtime":  # reached by folder name from the checkout, not as the installed package
    raise ImportError("import frontrunner.runtime (run: pip install -e .)")
