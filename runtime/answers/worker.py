r"""The program of a worker process: compares mathematical expressions until its input ends.

It speaks lines of JSON. It writes `{"ready": true}` once the parser is loaded; then, for each line
`{"id": 7, "gold": "…", "answer": "…"}` that it reads, `{"id": 7, "equal": true}`, or false, or null
if it could not tell. Expressions are LaTeX without dollar signs.

It imports nothing of Frontrunner, so that `WorkerPool` can run this file by its path: half the
start-up, and it works wherever the parent found the package. `python -m
frontrunner.runtime.answers.worker` works too.

What it must survive is not its own matter alone: the parent kills it when its time is up. On its
own, it limits its memory and the processor time of each comparison (an orphan that is stuck in one
must end too), writes no files, and ends when the parent has closed its standard input, which the
kernel does for a parent that died. Parsers may print what they like: file descriptor 1 leads
nowhere, and verdicts go through a private copy of it.
"""

import contextlib
import json
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

# Address space. math-verify and sympy take 70 MiB; H1 of `research/ecosystem.md` allows 512.
MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
# Processor time for one comparison. It is the second line: parents allow about one second, and
# this one must not be the first to strike on a busy machine.
CPU_LIMIT_S = 10

Compare = Callable[[str, str], bool]


def main() -> None:
    """Serve comparisons from standard input until it ends."""
    # A terminal's Ctrl-C reaches all its processes, but it is the parent that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, replies = _private_pipes()
    _limit(resource.RLIMIT_AS, MEMORY_LIMIT_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    compare = _load()
    _limit(resource.RLIMIT_FSIZE, 0)  # only now, as imports may write bytecode
    with open(requests, "rb") as lines:
        _reply(replies, {"ready": True})
        for line in lines:
            _allow_cpu_time()
            _reply(replies, _answer(line, compare))


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


def _load() -> Compare:
    """Import the parser and return a comparison that is warmed up."""
    from math_verify import LatexExtractionConfig, parse, verify

    latex = [LatexExtractionConfig()]

    def parsed(expression: str) -> list[Any]:
        # No fallback to strings: that spellings differ is known already. No time-out: it would be
        # `signal.alarm`, whole seconds, and would need the parser to run Python code in time.
        return parse(
            f"${expression.replace('$', ' ')}$",
            extraction_config=latex,
            fallback_mode="no_fallback",
            parsing_timeout=None,  # pyright: ignore[reportArgumentType]
        )

    def compare(gold: str, answer: str) -> bool:
        one, other = parsed(gold), parsed(answer)

        def holds(gold: list[Any], answer: list[Any]) -> bool:
            return verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None)

        # `verify` is lenient to its second argument: `2x+z=1` is a right answer where `1` is
        # wanted, though not the other way round. Votes have no gold answer, and a wrong merger
        # moves votes while a missed one only splits them: it must hold both ways.
        return holds(one, other) and holds(other, one)

    # The first use of the grammar and of each comparison imports and builds tables, 0.4 s in all.
    compare("x^2+2x+1", "(x+1)^2")
    compare("1<x<2", "(1,2)")
    compare(r"\frac{\sqrt{8}}{2}", "1.414214")
    return compare


def _answer(line: bytes, compare: Compare) -> dict[str, Any]:
    identifier = None
    try:
        request = json.loads(line)
        identifier = request["id"]
        return {"id": identifier, "equal": compare(request["gold"], request["answer"])}
    except MemoryError:
        # What is left of the parser's state may be anything: the parent starts another process.
        os._exit(1)
    # Parsers raise whatever they like, math-verify's own time-out being a BaseException.
    except BaseException:  # noqa: BLE001
        return {"id": identifier, "equal": None}


def _reply(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    # The parent died between question and answer: nobody is left to tell.
    with contextlib.suppress(BrokenPipeError):
        main()
