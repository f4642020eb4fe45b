"""What the command line adds to a race, and how long an engine takes to start and a server to end.

Starts ``frontrunner serve`` with a config, on a port of its own, and measures, in one run:

* the seconds until it is ready, from the shell;
* ``solve --url`` asking it, a process each: the seconds over what the race itself took;
* the seconds from SIGTERM, while it is idle, until its process has ended;
* ``solve`` that starts an engine of its own: the seconds from the shell to the first branch's first
  text. With ``--against``, the environment of another checkout, in turns with that; with ``--cold``
  each time after the kernel forgot all files that it had read (which takes root).

    python tests/benchmarks/command_line.py
    python tests/benchmarks/command_line.py --config engine.toml --count 30
    python tests/benchmarks/command_line.py --starts 0 --firsts 5 --against ../other/.venv
"""

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import orjson
from common import report

from frontrunner.runtime.demo.problems import hard_problems

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--config", type=Path, help="TOML file; the demo's if left out")
ARGUMENTS.add_argument("--count", type=int, default=15, help="times that it is asked")
ARGUMENTS.add_argument("--starts", type=int, default=3, help="times that it is started and ended")
ARGUMENTS.add_argument("--firsts", type=int, default=3, help="times that solve starts an engine")
ARGUMENTS.add_argument("--against", type=Path, help="another checkout's environment, for --firsts")
ARGUMENTS.add_argument("--cold", action="store_true", help="--firsts without what files are cached")
ARGUMENTS.add_argument("--question", default=hard_problems("select", 1)[0].question)

PROGRAM = str(Path(sys.executable).with_name("frontrunner"))
#: Seconds between looks whether the server is ready.
_LOOK = 0.02


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def started(config: Path | None, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """A server that is ready, and how long that took (seconds)."""
    began = time.perf_counter()
    told = ["--config", str(config)] if config is not None else []
    server = subprocess.Popen(
        [PROGRAM, "serve", *told, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                return server, time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK)
    sys.exit(f"the server ended with status {server.returncode}: run {PROGRAM} doctor")


def over_the_race(question: str, port: int) -> float:
    """Seconds that ``solve --url`` takes over its race."""
    began = time.perf_counter()
    url = f"http://127.0.0.1:{port}"
    done = subprocess.run(
        [PROGRAM, "solve", "--url", url, "--json", question], capture_output=True, check=True
    )
    took = time.perf_counter() - began
    return took - orjson.loads(done.stdout.splitlines()[-1])["result"]["elapsed"]


def ended(server: subprocess.Popen[bytes]) -> float:
    began = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    server.wait()
    return time.perf_counter() - began


def until_first_text(program: str, question: str, config: Path | None, *, cold: bool) -> float:
    """Seconds from the shell to the first text of a branch, of ``solve`` with its own engine."""
    if cold:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3")
    told = ["--config", str(config)] if config is not None else []
    began = time.perf_counter()
    command = [program, "solve", *told, "--json", question]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        took = 0.0
        for line in process.stdout:
            if not took and orjson.loads(line).get("text"):
                took = time.perf_counter() - began
    return took or sys.exit(f"no branch wrote anything: run {program} doctor")


def firsts(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """By environment, and their ratio; in turns."""
    programs = {"first_text": PROGRAM}
    if arguments.against:
        programs["first_text_against"] = str(arguments.against / "bin" / "frontrunner")
    seen: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(arguments.firsts):
        for name, program in programs.items():
            seen[name].append(
                until_first_text(program, arguments.question, arguments.config, cold=arguments.cold)
            )
    if arguments.against and arguments.firsts:
        seen["first_text_ratio"] = [a / b for a, b in zip(*seen.values(), strict=True)]
    return {name: summary(seconds) for name, seconds in seen.items() if seconds}


def summary(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds), 3),
        "least": round(min(seconds), 3),
        "most": round(max(seconds), 3),
    }


def main() -> None:
    arguments = ARGUMENTS.parse_args()
    port = free_port()
    ready: list[float] = []
    asked: list[float] = []
    end: list[float] = []
    for _ in range(arguments.starts):
        server, seconds = started(arguments.config, port)
        try:
            ready.append(seconds)
            over_the_race(arguments.question, port)  # the first race of a server
            asked += [over_the_race(arguments.question, port) for _ in range(arguments.count)]
        finally:
            end.append(ended(server))
    served = {
        "seconds_until_ready": ready,
        "solve_seconds_over_the_race": asked,
        "seconds_to_end_when_idle": end,
    }
    told = {name: summary(seconds) for name, seconds in served.items() if seconds}
    report({**told, **firsts(arguments)})


if __name__ == "__main__":
    main()
