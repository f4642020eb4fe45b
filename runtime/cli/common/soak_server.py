"""The server of a soak: a process of its own, what it uses, and what it leaves behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
import anyio
import anyio.to_thread

from ...engines.vllm.processes import shared_inodes
from ...errors import EngineError, EngineStartError
from ...experiments.soak_log import RunEnded, Sample
from .printable import one_line
from .processes import descendants, open_files, own_bytes, threads

#: Seconds between two looks, and that the server may take to start, to come to rest, and to end.
_LOOK, _START, _REST, _END = 0.2, 900.0, 20.0, 60.0
_SHARED: Final = Path("/dev/shm")
#: Part of the names of vLLM's engine processes.
_ENGINE: Final = b"VLLM::"
#: What libraries keep in the temporary folder for the next start, and Python's own of a moment.
_KEPT: Final = ("torchinductor_", "pymp-", "tmp")
_REQUESTS: Final = re.compile(r'^frontrunner_engine_requests\{state="\w+"\} (\S+)$', re.MULTILINE)
_SHOWN_LINES: Final = 20
_PROGRAM: Final = "import sys; from frontrunner.runtime.cli import main; sys.exit(main())"


class SoakServer:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
        """
        Args:
            process: the server's.
            folder: its temporary folder, with its socket.
            log: what it prints.
        """
        self._process = process
        self._folder = folder
        self._log = log
        self._shared = set[int]()  # inodes of shared memory that its processes have mapped
        self.connector = _Connector(folder)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Of its process, once it has ended."""
        return self._process.poll()

    def tail(self) -> str:
        """What it said last."""
        said = self._log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return one_line(" | ".join(line for line in said if line.strip()))

    async def wait(self) -> None:
        """Until it serves.

        Raises:
            EngineStartError: it does not come up.
        """
        with anyio.move_on_after(_START):
            async with aiohttp.ClientSession(connector=self.connector()) as session:
                while self.status is None:
                    with suppress(aiohttp.ClientError, OSError):
                        async with session.get("http://soak/readyz") as reply:
                            if reply.status == 200:
                                return
                    await anyio.sleep(_LOOK)
        raise EngineStartError(f"the server did not start; it said: {self.tail()}")

    async def sample(self, session: aiohttp.ClientSession, at: float, lag: float) -> Sample:
        """What it uses now.

        Raises:
            EngineError: it has ended.
        """
        if self.status is not None:
            raise EngineError(f"the server has ended ({self.status}); it said: {self.tail()}")
        requests = await self._requests(session)
        return await anyio.to_thread.run_sync(lambda: self._look(at, lag, requests))

    def _look(self, at: float, lag: float, requests: int) -> Sample:
        below = descendants(self.pid)
        for pid in (self.pid, *(process.pid for process in below)):
            self._shared |= shared_inodes(pid)
        return Sample(
            at=round(at, 3),
            server_bytes=own_bytes(self.pid),
            engine_bytes=sum(own_bytes(process.pid) for process in below),
            descriptors=open_files(self.pid),
            threads=threads(self.pid),
            processes=sum(not process.has_ended for process in below),
            zombies=sum(process.state == "Z" for process in below),
            requests=requests,
            client_lag=round(lag, 4),
        )

    async def _requests(self, session: aiohttp.ClientSession) -> int:
        """In the engine; -1: it does not say."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError), anyio.fail_after(_REST):
            async with session.get("http://soak/metrics") as reply:
                found = _REQUESTS.findall(await reply.text())
                return sum(int(float(n)) for n in found) if found else -1
        return -1

    def strike(self, number: signal.Signals) -> int:
        """Send a signal to the engine's processes; returns how many there were."""
        struck = 0
        for process in descendants(self.pid):
            if _ENGINE in process.command:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, number)
                    struck += 1
        return struck

    async def come_to_rest(self) -> int:
        """Wait until its engine runs nothing, for a while; returns the requests that it runs."""
        left = 0
        if self.status is not None:
            return left
        async with aiohttp.ClientSession(connector=self.connector()) as session:
            with anyio.move_on_after(_REST):
                while (left := await self._requests(session)) > 0:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(_LOOK)
        return max(left, 0)

    async def end(self, at: float, requests_left: int) -> RunEnded:
        """Tell it to end, and see what is left of it."""
        below = descendants(self.pid)
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        status = await anyio.to_thread.run_sync(self._wait)
        left = [p for p in below if not p.is_tracker and _same(p.pid, p.command)]
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        files = [n for n in os.listdir(self._folder) if not n.startswith(_KEPT)]
        files = [n for n in files if n != "socket"]
        shared = sorted(_left_of(self._shared))
        return RunEnded(round(at, 3), requests_left, len(left), [*files, *shared], status)

    def _wait(self) -> int | None:
        try:
            return self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


class _Connector:
    """Makes connectors to the server's socket; each session closes its own."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "socket")

    def __call__(self) -> aiohttp.UnixConnector:
        return aiohttp.UnixConnector(self._path, limit=0)


@asynccontextmanager
async def soak_server(arguments: Sequence[str], log: Path) -> AsyncGenerator[SoakServer, None]:
    """A server, from its start until it has ended, in a process of its own.

    Args:
        arguments: of ``frontrunner serve``.
        log: the file that what it prints is added to.

    Raises:
        EngineStartError: it does not come up.
    """
    # Of its own, so that what stays in it is known; short, since sockets are bound in it.
    folder = Path(tempfile.mkdtemp(prefix="frontrunner-soak-"))
    command = [*program(), "serve", *arguments, "--socket", str(folder / "socket")]
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment, and nobody waits
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,  # Ctrl-C is for the soak, which then ends it in order
        )
    server = SoakServer(process, folder, log)
    try:
        await server.wait()
        yield server
    finally:
        if process.poll() is None:
            for each in descendants(process.pid):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(each.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def program() -> list[str]:
    """How this program was called, up to the command: an engine of a user's own goes with it."""
    told = [sys.executable, *sys.orig_argv[1:]]
    if "soak" in told:
        return told[: told.index("soak")]
    return [sys.executable, "-c", _PROGRAM]


def _left_of(inodes: set[int]) -> set[str]:
    """Of shared memory that the server's processes had mapped, the names of what is still there and
    that nobody else maps: others that run here have their own."""
    for folder in Path("/proc").glob("[0-9]*"):
        inodes = inodes - shared_inodes(int(folder.name))
    with suppress(OSError):
        return {entry.name for entry in os.scandir(_SHARED) if entry.inode() in inodes}
    return set()


def _same(pid: int, command: bytes) -> bool:
    """Whether a process that was there still is."""
    with suppress(OSError):
        return bool(command) and Path(f"/proc/{pid}/cmdline").read_bytes() == command
    return False
