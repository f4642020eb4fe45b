"""Each vLLM engine has a temporary folder, which goes with it or with its process."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from frontrunner.runtime.engines.vllm import folder as folders
from frontrunner.runtime.engines.vllm.folder import FOLDER_VARIABLE, EngineFolder

_OWNER = """
import sys
from frontrunner.runtime.engines.vllm import folder
folder._LONGEST = 1_000
print(folder.EngineFolder().path, flush=True)
sys.stdin.read()
"""
_LONG_AGO = 1_000_000_000


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "_LONGEST", 1_000)  # sockets are not made here
    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    return tmp_path


def test_vllm_is_told_of_the_folder_for_as_long_as_it_starts(parent: Path) -> None:
    made = EngineFolder()
    assert made.path is not None
    assert made.path.parent == parent
    with made.used():
        assert os.environ["VLLM_RPC_BASE_PATH"] == os.environ[FOLDER_VARIABLE] == str(made.path)
    assert "VLLM_RPC_BASE_PATH" not in os.environ
    (made.path / "socket").touch()
    made.remove()
    made.remove()
    assert [*parent.iterdir()] == []


def test_the_users_own_place_for_sockets_is_kept_to(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = parent / "own"
    own.mkdir()
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", str(own))
    made = EngineFolder()
    assert made.path is not None
    assert made.path.parent == own
    with made.used():
        pass
    assert os.environ["VLLM_RPC_BASE_PATH"] == str(own)
    made.remove()


def test_sockets_get_paths_that_are_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    made = EngineFolder()
    assert len(f"{made.path}/{'0' * 36}") < 108
    made.remove()


def test_folders_of_the_dead_are_removed_and_those_of_the_living_kept(parent: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(parent), "VLLM_RPC_BASE_PATH": str(parent)},
    )
    assert owner.stdout is not None
    theirs = Path(owner.stdout.readline().strip())
    os.utime(theirs / "lock", (_LONG_AGO, _LONG_AGO))
    others = parent / "frontrunner-vllm-notes"
    others.mkdir()
    mine = EngineFolder()
    assert theirs.exists()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    second = EngineFolder()
    assert not theirs.exists()
    assert others.exists()
    assert mine.path is not None
    assert mine.path.exists()
    for made in (mine, second):
        made.remove()
