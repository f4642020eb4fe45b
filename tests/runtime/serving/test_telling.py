"""From events to messages: joined until a reader comes, and nobody woken for nothing."""

from collections.abc import Iterable

import anyio
import orjson
import pytest

from frontrunner.runtime.events.types import (
    BranchEnded,
    BranchProgressed,
    BranchStarted,
    Event,
    RaceStarted,
)
from frontrunner.runtime.serving.openai.chat import ChatEncoder
from frontrunner.runtime.serving.replies.usage import Account
from frontrunner.runtime.serving.runs.frames import Frame
from frontrunner.runtime.serving.runs.leader_stream import StreamItem
from frontrunner.runtime.serving.runs.replay_buffer import ReplayBuffer
from frontrunner.runtime.serving.runs.telling import Telling
from frontrunner.strategies.protocol import BranchStatus

BEGUN: list[Event] = [
    RaceStarted(0.0, "r", 5.0, 2, 3),
    BranchStarted(0.0, 0, None),
    BranchStarted(0.0, 1, None),
]


def progress(branch: int, text: str, at: float = 1.0) -> BranchProgressed:
    return BranchProgressed(at, branch, text, 1, False)


class Told:
    """A race that is told, and how often its readers were woken."""

    def __init__(self, *, events: bool = False, lagging: bool = False) -> None:
        self.encoder = ChatEncoder(
            "m", choices=1, events=events, include_usage=False, account=Account(len)
        )
        self.log = ReplayBuffer(1_000, 1_000_000)
        self.log.extend(self.encoder.start("run"))
        self.lagging = lagging
        self.failures = 0
        self.telling = Telling(self.log, self.encoder, self.fail, lambda: self.lagging)
        for event in BEGUN:
            self.telling.push(event)
        self.texts()
        self.wakes = 0
        self.log.notify = self.wake  # type: ignore[method-assign]

    def wake(self) -> None:
        self.wakes += 1

    def fail(self) -> None:
        self.failures += 1

    def texts(self) -> list[str]:
        """The text that a reader who comes now gets for the first time, a piece a message."""
        batch = self.log.ready(self.log._taken) or []
        said = [orjson.loads(frame.encode(number))["choices"] for number, frame in batch]
        deltas = [choices[0]["delta"] for choices in said if choices]
        return [d["reasoning_content"] for d in deltas if "reasoning_content" in d]


def test_what_comes_before_the_reader_does_is_one_message() -> None:
    told = Told()
    for piece in ("a ", "b ", "c"):
        told.telling.push(progress(0, piece))
    assert told.texts() == ["a b c"]
    told.telling.push(progress(0, " d"))
    assert told.texts() == [" d"]


def test_text_of_a_branch_that_is_not_followed_wakes_nobody_and_is_not_lost() -> None:
    told = Told()
    told.telling.push(progress(0, "first"))
    assert told.wakes == 1
    assert told.texts() == ["first"]
    told.wakes = 0
    for _ in range(9):
        told.telling.push(progress(1, "x"))
    assert told.wakes == 0
    told.telling.push(BranchEnded(2.0, 0, BranchStatus.CANCELLED, 1, None))
    assert told.wakes == 1
    told.telling.push(progress(1, "y"))
    (text,) = told.texts()
    assert text.endswith("x" * 9 + "y")


def test_where_branches_are_told_all_text_wakes() -> None:
    told = Told(events=True)
    told.telling.push(progress(0, "first"))
    told.texts()
    told.wakes = 0
    told.telling.push(progress(1, "x"))
    assert told.wakes == 1


def test_progress_wakes_nobody_while_the_loop_lags() -> None:
    told = Told(lagging=True)
    told.telling.push(progress(0, "first"))
    assert told.wakes == 1  # that is waited for
    assert told.texts() == ["first"]
    told.wakes = 0
    told.telling.push(progress(0, "a"))
    assert told.wakes == 0
    told.lagging = False
    told.telling.push(progress(0, "b"))
    assert told.wakes == 1
    assert told.texts() == ["ab"]


def test_much_that_nobody_reads_does_not_wait_for_a_reader() -> None:
    told = Told(lagging=True)
    for _ in range(100):
        told.telling.push(progress(0, "x" * 1_000))
    assert told.log.next > 1  # messages were made of it, which the log bounds
    assert sum(map(len, told.texts())) > 16_000  # as much as a reader takes at once


def test_an_encoder_that_fails_ends_the_race_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()

    def fails(item: StreamItem) -> Iterable[Frame]:
        raise RuntimeError("no")

    monkeypatch.setattr(told.encoder, "encode", fails)
    for piece in "ab":
        told.telling.push(progress(0, piece))
        told.telling.tell()
    assert told.failures == 1


async def test_a_reader_that_waits_is_woken_by_text() -> None:
    log = ReplayBuffer(100, 100_000)
    encoder = ChatEncoder("m", choices=1, events=False, include_usage=False, account=Account(len))
    log.extend(encoder.start("run"))
    telling, got = Telling(log, encoder, lambda: None), list[int]()

    async def read() -> None:
        got.append(len(await log.batch(-1)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        for event in [*BEGUN, progress(0, "a")]:
            telling.push(event)
    assert got == [2]  # the role, and the text
