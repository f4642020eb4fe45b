"""The trace that the playground saves is the one that ``TraceRecorder`` writes."""

import json
import os
import subprocess
from pathlib import Path

import orjson
import pytest
from tests.runtime.events.recorded_races import RACES, recorded
from tests.runtime.events.test_page_state import PAGE, node, on_the_wire

from frontrunner.runtime.traces.formats import OwnRace
from frontrunner.runtime.traces.recorder import TraceRecorder

SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const { asTrace } = await import(pathToFileURL(`${process.env.PAGE}/share.js`));
const events = JSON.parse(readFileSync(process.env.WIRE));
writeFileSync(process.env.TRACE, asTrace(events, "How many?"));
"""


@pytest.mark.parametrize("name", [name for name in RACES if name != "cancelled"])
def test_a_saved_trace_is_a_recorded_one(name: str, tmp_path: Path) -> None:
    events = recorded(name)
    recorder = TraceRecorder(question="How many?", text=True)
    for event in events:
        recorder.push(event)
    wire, trace = tmp_path / "wire.json", tmp_path / "race.jsonl"
    wire.write_text(json.dumps([on_the_wire(event) for event in events]))
    run = subprocess.run(
        [node(), "--input-type=module", "-e", SCRIPT],
        env={**os.environ, "PAGE": str(PAGE), "WIRE": str(wire), "TRACE": str(trace)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    saved = OwnRace.model_validate_json(trace.read_bytes())
    expected = OwnRace.model_validate_json(orjson.dumps(recorder.record()))
    assert saved.deadline == expected.deadline
    for mine, theirs in zip(saved.branches, expected.branches, strict=True):
        assert (mine.status, mine.tokens, mine.answer) == (
            theirs.status,
            theirs.tokens,
            theirs.answer,
        )
        assert mine.text == theirs.text
        assert mine.forced == theirs.forced
        assert mine.probes == theirs.probes
        assert mine.scores == theirs.scores
        assert (mine.parent, mine.extended, mine.truncated) == (
            theirs.parent,
            theirs.extended,
            theirs.truncated,
        )
        assert mine.times == theirs.times
