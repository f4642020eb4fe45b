"""Compiled functions are kept between starts, and damage there costs time only."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from frontrunner.runtime.drafting import compiling

pytestmark = pytest.mark.slow  # it starts processes of its own

START = """
import time
from types import SimpleNamespace as Namespace
from frontrunner.runtime.drafting import SETTINGS_KEY
from frontrunner.runtime.drafting.proposer import CrossBranchProposer
from frontrunner.runtime.drafting.step import step

proposer = CrossBranchProposer(
    Namespace(
        additional_config={SETTINGS_KEY: {"memory_mib": 1}},
        speculative_config=Namespace(num_speculative_tokens=2),
        scheduler_config=Namespace(max_num_seqs=2),
        model_config=Namespace(
            max_model_len=64, skip_tokenizer_init=True, get_vocab_size=lambda: 100
        ),
    )
)
proposer.load_model(None)
print(sum(step.stats.cache_hits.values()), sum(step.stats.cache_misses.values()))
"""


def start(cache: Path) -> str:
    """Cache hits and misses of the largest compiled function in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_second_start_compiles_nothing_and_damage_is_mended(tmp_path: Path) -> None:
    # Compiled here, unless an earlier test has: what it makes serves those that follow.
    here = compiling.cache_folder()
    assert here is not None
    assert start(here.parents[1]) in ("0 1", "1 0")
    copy = tmp_path / "frontrunner" / here.name
    for file in [*here.rglob("*.nbi"), *here.rglob("*.nbc")]:
        (copy / file.relative_to(here)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy / file.relative_to(here))
    assert start(tmp_path) == "1 0"
    kept = list(tmp_path.rglob("*step*.nbc"))
    assert kept
    for file in kept:
        file.write_bytes(b"damaged")
    assert start(tmp_path).endswith("1")
    assert start(tmp_path) == "1 0"


def test_without_a_place_to_keep_it_compiling_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compiling, "cache_folder", compiling.cache_folder.__wrapped__)
    assert compiling.cache_folder() is None
    compiling.forget_compiled()
    assert compiling.njit_kept(lambda number: number + 1)(1) == 2
