"""What an engine's libraries print at its start is kept out of sight, in its processes as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import frontrunner

pytestmark = pytest.mark.slow  # it starts processes of its own

#: A library that says what nobody asked for as soon as it is imported, and one error.
NOISY = """
import logging
import warnings

logger = logging.getLogger("vllm.noisy")
logger.warning("a warning")
logger.error("an error")
warnings.warn("will change", FutureWarning)


def work():
    print("worked", flush=True)
"""
PROGRAM = """
import importlib
import multiprocessing
import os
import pickle
from frontrunner.runtime.engines.vllm.quiet import quiet_children


class Work:
    def __reduce__(self):
        return getattr, (Imported(), "work")


class Imported:
    def __reduce__(self):
        return importlib.import_module, ("vllm.noisy",)


if __name__ == "__main__":
    with quiet_children():
        process = multiprocessing.get_context("spawn").Process(target=Work())
        process.start()
    process.join()
    assert process.exitcode == 0
    # What is started later is no concern of an engine's.
    assert not [key for key in multiprocessing.current_process()._config if "frontrunner" in key]
"""


@pytest.mark.parametrize(("level", "told"), [("ERROR", False), ("INFO", True), (None, True)])
def test_a_process_of_the_engine_is_quiet_from_its_beginning(
    tmp_path: Path, level: str | None, told: bool
) -> None:
    (tmp_path / "vllm").mkdir()  # in the place of the real one
    (tmp_path / "vllm" / "__init__.py").touch()
    (tmp_path / "vllm" / "noisy.py").write_text(NOISY)
    (tmp_path / "program.py").write_text(PROGRAM)
    source = str(Path(frontrunner.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), source])}
    environment.pop("VLLM_LOGGING_LEVEL", None)
    if level is not None:
        environment["VLLM_LOGGING_LEVEL"] = level
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "worked\n", done.stderr
    assert "an error" in done.stderr
    assert ("a warning" in done.stderr) is told
    assert ("FutureWarning" in done.stderr) is told
