"""What an engine's processes do before all else: they are quiet, and import without collections."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import frontrunner

pytestmark = pytest.mark.slow  # it starts processes of its own

#: A library that says what nobody asked for as soon as it is imported, and one error; and whether
#: the garbage collector runs then, and later.
NOISY = """
import gc
import logging
import warnings

logger = logging.getLogger("vllm.noisy")
logger.warning("a warning")
logger.error("an error")
warnings.warn("will change", FutureWarning)


imported = gc.get_threshold()


def work():
    from frontrunner.runtime.engines.vllm.imports import collect_as_usual

    print(imported[0] > 100_000, gc.get_freeze_count() > 0)
    collect_as_usual()
    print(gc.get_threshold()[0] < 100_000, gc.get_freeze_count() > 0, flush=True)
"""
PROGRAM = """
import importlib
import multiprocessing
import os
import pickle
from frontrunner.runtime.engines.vllm.children import prepared_children


class Work:
    def __reduce__(self):
        return getattr, (Imported(), "work")


class Imported:
    def __reduce__(self):
        return importlib.import_module, ("vllm.noisy",)


if __name__ == "__main__":
    with prepared_children():
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
    assert done.stdout == "True False\nTrue True\n", done.stderr
    assert "an error" in done.stderr
    assert ("a warning" in done.stderr) is told
    assert ("FutureWarning" in done.stderr) is told


def test_vllm_is_imported_without_collections(tmp_path: Path) -> None:
    for name in ("vllm", "vllm/engine", "vllm/v1", "vllm/v1/engine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "vllm/engine/arg_utils.py").touch()
    (tmp_path / "vllm/v1/engine/async_llm.py").write_text("import gc\ncollected = gc.isenabled()\n")
    program = """
import gc
import sys
from frontrunner.runtime.engines.vllm.imports import import_vllm

import_vllm()
print(sys.modules["vllm.v1.engine.async_llm"].collected, gc.isenabled(), gc.get_freeze_count() > 0)
gc.unfreeze()
import_vllm()
print(gc.get_freeze_count())
"""
    source = str(Path(frontrunner.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), source])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "False True True\n0\n", done.stderr
