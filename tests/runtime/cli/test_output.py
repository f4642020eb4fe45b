"""Standard output never holds back the event loop, and a reader that goes ends the command."""

import fcntl
import os
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from frontrunner.runtime.cli.common.console import print_lines
from frontrunner.runtime.cli.common.output import Output, OutputClosed, OutputFailed

from .conftest import RunCli, read_until, scripted_process


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_slow_reader_holds_back_the_writer_alone() -> None:
    reader, writer = os.pipe()
    data = os.urandom(300_000)
    received = bytearray()

    async def write() -> None:
        await Output(writer).write(data)
        os.close(writer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()  # the pipe is full, and this still runs
        assert fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK == 0, "others share it"
        while piece := await anyio.to_thread.run_sync(os.read, reader, 65536):
            received += piece
    os.close(reader)
    assert received == data


async def test_a_file_takes_everything(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        await Output(file.fileno()).line("x" * 100_000)
    assert path.stat().st_size == 100_001


async def test_a_reader_that_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(OutputClosed):
        await Output(writer).write(b"x")
    os.close(writer)


async def test_a_full_disk() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OutputFailed, match="No space left"):
        await Output(full).write(b"x")
    os.close(full)


def test_head_ends_the_command_quietly() -> None:
    with scripted_process("endless", "solve", "q", "--deadline", "60", "--json") as started:
        read_until(started.stdout, b"race_started")
        assert started.stdout is not None
        started.stdout.close()
        assert started.wait() == 141
        assert started.stderr is not None
        assert started.stderr.read() == b""


@pytest.mark.parametrize("command", ["solve q --deadline 5", "config", "strategies --json"])
def test_a_full_disk_is_one_sentence(command: str) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        scripted_process("answers", *command.split(), stdout=full) as started,
    ):
        _, err = started.communicate()
        assert started.returncode == 1
        assert err == b"error: cannot write the output (No space left on device)\n"


def test_an_answer_is_not_lost_with_its_trace(run_cli: RunCli) -> None:
    done = run_cli("solve", "q", "--quiet", "--trace", "/dev/full")
    assert (done.status, done.out) == (1, "42\n")
    assert done.err == "error: cannot write the trace /dev/full (No space left on device)\n"


def test_a_command_without_standard_output_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputClosed):
        print_lines(["the answer"])


def test_standard_output_is_given_back(run_cli: RunCli, capfd: pytest.CaptureFixture[str]) -> None:
    run_cli("solve", "q", "--quiet")
    os.write(1, b"mine\n")
    assert capfd.readouterr().out == "mine\n"
