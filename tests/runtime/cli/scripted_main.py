"""The command line on a scripted engine, as a program: ``scripted_main.py SCENARIO ARGUMENT…``."""

import os
import subprocess
import sys
from collections import deque

import anyio
import anyio.to_thread

from frontrunner.runtime.cli import main
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.runtime import Runtime

_SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]
# Talks on and on, so that a test always finds it at it.
_ENDLESS = BranchScript((Piece(0.01, "and then "),) * 100_000)
# The same, but a hundred such branches leave a server a core that it can drain on.
_SLOW_ENDLESS = BranchScript((Piece(0.1, "and then "),) * 100_000)
_FORCED = BranchScript((Piece(0.001, "7}", 2),))


def say(text: str) -> None:
    os.write(2, f"{text}\n".encode())


class Noisy(ScriptedEngine):
    """Prints to standard output, as libraries in other languages do."""

    async def start(self) -> None:
        os.write(1, b"[library] rank 0 of 1\n")
        print("[library] hello", flush=True)
        await super().start()

    async def abort(self, request_ids: object) -> None:
        os.write(1, b"[library] aborting\n")
        await super().abort(request_ids)  # pyright: ignore[reportArgumentType]


class NeverStarts(ScriptedEngine):
    """Waits in a thread for a process of its own, as vLLM does; ends if that does."""

    async def start(self) -> None:
        await anyio.to_thread.run_sync(self._wait_for_child)
        raise EngineStartError("its process died")

    def _wait_for_child(self) -> None:
        child = subprocess.Popen(_SLEEPER)
        say(f"child {child.pid}")
        child.wait()


class NeverCloses(ScriptedEngine):
    """Has a process, and hangs when it is closed."""

    async def start(self) -> None:
        await super().start()
        self.child = await anyio.open_process(_SLEEPER)
        say(f"child {self.child.pid}")

    async def aclose(self) -> None:
        say("closing")
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()


class Forgets(ScriptedEngine):
    """Keeps no list of all that it was ever asked."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.requests = deque(maxlen=100)  # type: ignore[assignment]


class FailsToStart(ScriptedEngine):
    """Says a lot, then gives up."""

    async def start(self) -> None:
        os.write(1, b"loading\n")
        say("out of luck")
        raise EngineStartError("the engine did not start: no luck")


_ENGINES = {
    "answers": (ScriptedEngine, BranchScript.answering("42", seconds=0.05, tokens=20)),
    "forgets": (Forgets, BranchScript.answering("42", seconds=0.3, tokens=20)),
    "endless": (ScriptedEngine, _ENDLESS),
    "forces": (ScriptedEngine, _SLOW_ENDLESS),
    "quick": (ScriptedEngine, BranchScript.answering("42", seconds=0.0, tokens=4)),
    "noisy": (Noisy, BranchScript.answering("42", seconds=0.05, tokens=20)),
    "never-starts": (NeverStarts, _ENDLESS),
    "never-closes": (NeverCloses, _ENDLESS),
    "fails-to-start": (FailsToStart, _ENDLESS),
}


def make_runtime(settings: Settings) -> Runtime:
    engine, branch = _ENGINES[sys.argv[1]]
    return Runtime(engine(Script((branch,), forced=(_FORCED,))), settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], make_runtime=make_runtime))
