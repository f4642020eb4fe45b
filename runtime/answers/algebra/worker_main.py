r"""The program of a worker process: gives formulas their keys until its input ends.

It speaks lines of JSON. It writes `{"ready": true}` once the parser is loaded; then, for each line
`{"id": 7, "formula": "…"}` that it reads, `{"id": 7, "key": "…"}`, or null as the key of what is no
formula. Formulas are LaTeX without dollar signs; `formulas.py` beside it says what their keys are.

It imports no package of Frontrunner, so that `WorkerPool` can run this file by its path: half the
start-up, and it works wherever the parent found the package. `python -m
frontrunner.runtime.answers.algebra.worker_main` works too.

What it must survive is not its own matter alone: the parent kills it when its time is up. On its
own, it limits its memory and the processor time of each formula (an orphan that is stuck in one
must end too), writes no files, and ends when the parent has closed its standard input, which the
kernel does for a parent that died. Parsers may print what they like: file descriptor 1 leads
nowhere, and verdicts go through a private copy of it.
"""

import contextlib
import importlib.util
import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Address space. The parser and SymPy take 70 MiB.
MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
# Processor time for one formula. It is the second line: parents allow about one second, and
# this one must not be the first to strike on a busy machine.
CPU_LIMIT_S = 10

KeyOf = Callable[[str], str]


def main() -> None:
    """Serve formulas from standard input until it ends."""
    # A terminal's Ctrl-C reaches all its processes, but it is the parent that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, replies = _private_pipes()
    _limit(resource.RLIMIT_AS, MEMORY_LIMIT_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    key_of = _load()
    _limit(resource.RLIMIT_FSIZE, 0)  # only now, as imports may write bytecode
    with open(requests, "rb") as lines:
        _reply(replies, {"ready": True})
        for line in lines:
            _allow_cpu_time()
            _reply(replies, _answer(line, key_of))


def _private_pipes() -> tuple[int, int]:
    """Return copies of descriptors 0 and 1, and let these lead nowhere."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return requests, replies


def _limit(kind: int, value: int) -> None:
    # macOS refuses some limits, and a container may have set lower ones. The parent's time limit
    # holds without them.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))


def _allow_cpu_time() -> None:
    """Let the kernel end this process `CPU_LIMIT_S` of processor time from now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_LIMIT_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _load() -> KeyOf:
    """Import the parser and return what gives keys, warmed up."""
    path = Path(__file__).with_name("formulas.py")
    spec = importlib.util.spec_from_file_location("frontrunner_algebra", path)
    assert spec is not None
    assert spec.loader is not None
    algebra = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(algebra)
    # The first use of the grammar and of each way to evaluate imports and builds tables.
    for formula in (r"\frac{\sqrt{8}}{2}", "x^2+2x+1", "2x-y+1=0", "2x>6"):
        algebra.key_of(formula)
    return algebra.key_of


def _answer(line: bytes, key_of: KeyOf) -> dict[str, Any]:
    identifier = None
    try:
        request = json.loads(line)
        identifier = request["id"]
        return {"id": identifier, "key": key_of(request["formula"])}
    except MemoryError:
        # What is left of the parser's state may be anything: the parent starts another process.
        os._exit(1)
    # Parsers raise whatever they like, time-outs that are a BaseException among them.
    except BaseException:  # noqa: BLE001
        return {"id": identifier, "key": None}


def _reply(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    # The parent died between question and answer: nobody is left to tell.
    with contextlib.suppress(BrokenPipeError):
        main()
