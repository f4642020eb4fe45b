"""The page's modules that draw nothing, tested without a browser."""

import os
import subprocess
from pathlib import Path

from tests.runtime.events.test_page_state import PAGE, node

TEST = Path(__file__).with_name("page_modules.test.mjs")


def test_what_draws_nothing_needs_no_browser() -> None:
    run = subprocess.run(
        [node(), "--test", "--test-reporter=tap", TEST],
        env={**os.environ, "PAGE": str(PAGE)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    number = TEST.read_text().count("\ntest(")
    assert f"# pass {number}" in run.stdout


def test_they_are_type_checked() -> None:
    """``make check`` checks what begins with this."""
    pure = (
        *("acts", "calls_in_text", "code", "conversation", "decision", "finish", "growing_text"),
        *("imported", "math_marks", "order", "recording", "share", "state", "thinking"),
        *("time_scale", "words"),
    )
    assert all((PAGE / f"{name}.js").read_text().startswith("// @ts-check\n") for name in pure)
