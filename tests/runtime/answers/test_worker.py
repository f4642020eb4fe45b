import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from frontrunner.runtime.answers import algebra

pytestmark = pytest.mark.slow  # it starts processes of its own

PROGRAM = Path(algebra.__file__).with_name("worker_main.py")


@asynccontextmanager
async def started() -> AsyncIterator[tuple[Process, BufferedByteReceiveStream]]:
    process = await anyio.open_process([sys.executable, str(PROGRAM)], stderr=DEVNULL)
    try:
        assert process.stdout is not None
        replies = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(60):
            assert await reply(replies) == {"ready": True}
        yield process, replies
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def reply(replies: BufferedByteReceiveStream) -> object:
    return json.loads(await replies.receive_until(b"\n", 1000))


def limits_of(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


async def test_each_line_has_one_reply_and_nonsense_has_no_key() -> None:
    async with started() as (process, replies):
        assert process.stdin is not None
        lines: list[tuple[bytes, object]] = [
            (b'{"id": 1, "formula": "1+1"}', {"id": 1, "key": "2"}),
            (b"nonsense \xff", {"id": None, "key": None}),
            (b"[1]", {"id": None, "key": None}),
            (b'{"id": 2}', {"id": 2, "key": None}),
            (b'{"id": 3, "formula": null}', {"id": 3, "key": None}),
            (b'{"id": "a", "formula": "}{"}', {"id": "a", "key": None}),
        ]
        with anyio.fail_after(60):
            for line, expected in lines:
                await process.stdin.send(line + b"\n")
                assert await reply(replies) == expected


async def test_it_ends_with_its_standard_input_and_not_with_ctrl_c() -> None:
    async with started() as (process, replies):
        assert process.stdin is not None
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(60):
            await process.stdin.send(b'{"id": 1, "formula": "1"}\n')
            assert await reply(replies) == {"id": 1, "key": "1"}
            limits = limits_of(process.pid)
            await process.stdin.aclose()
            assert await process.wait() == 0
    # Meanwhile the kernel limited its memory, its time and its files.
    assert limits["Max address space"] == str(512 * 1024 * 1024)
    assert 10 <= int(limits["Max cpu time"]) <= 30
    assert limits["Max file size"] == "0"
    assert limits["Max core file size"] == "0"
