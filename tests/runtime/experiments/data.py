"""Real recordings, where they are, and small ones made by hand."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

_ROOT = Path(__file__).resolve().parents[3]


def real_data(name: str) -> Path:
    """A file of recorded branches; the test is skipped where it is missing."""
    folder = Path(os.environ.get("FRONTRUNNER_TEST_DATA") or _ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not in {folder} (set FRONTRUNNER_TEST_DATA)")
    return path


def probed_question(
    gold: str = "7", branches: list[list[Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A question of Parallel-Probe's files, probed every 10 tokens."""
    if branches is None:
        branches = [
            [["1", "7"], 25, "7"],
            [["7"], 15, "7"],
            [["2", "ERR", "3"], 35, "3"],
            [["7", "7", "7", "7"], 45, "7"],
        ]
    question = {"question": "q", "gold_answer": gold, "probe_freq": 10, "each_branch": branches}
    return question | more


def probed_file(folder: Path, *questions: dict[str, Any]) -> Path:
    path = folder / "probed.json"
    path.write_bytes(orjson.dumps(list(questions or (probed_question(),))))
    return path


def scored_line(**more: Any) -> bytes:
    """A question of a reward set, with three responses."""
    line: dict[str, Any] = {
        "id": 0,
        "question": "q",
        "gold": "1/2",
        "responses": ["x" * 30, "y" * 60, "z" * 90],
        "extracted": ["0.5", "\\frac{1}{2}", "3"],
        "correct": [True, True, False],
        "rewards": [0.5, 2.5, -1.0],
    }
    return orjson.dumps(line | more, option=orjson.OPT_APPEND_NEWLINE)


def scored_file(folder: Path, *lines: bytes) -> Path:
    path = folder / "scored.jsonl"
    path.write_bytes(b"".join(lines or (scored_line(),)))
    return path
