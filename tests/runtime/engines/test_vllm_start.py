"""Where a CPU's model runs, and how vLLM's processes are begun."""

import os

import pytest

from frontrunner.runtime.engines.vllm.start import FEW_CORES, runs_in_core, set_environment


def has_cores(patch: pytest.MonkeyPatch, cores: int) -> None:
    patch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    patch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)


@pytest.mark.parametrize("cores", [1, 2, FEW_CORES])
def test_with_few_cores_the_model_runs_in_the_core_process(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    has_cores(monkeypatch, cores)
    assert runs_in_core({"tensor_parallel_size": 1})
    assert runs_in_core({})


def test_with_more_cores_or_several_shards_vllm_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    has_cores(monkeypatch, FEW_CORES + 1)
    assert not runs_in_core({})
    has_cores(monkeypatch, FEW_CORES)
    assert not runs_in_core({"tensor_parallel_size": 2})


def test_who_binds_threads_gets_vllms_own_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    has_cores(monkeypatch, 2)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-1")
    assert not runs_in_core({})


def test_vllms_processes_are_begun_anew_and_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    set_environment("WARNING", offline=True)
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"


def test_who_wants_forks_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"VLLM_WORKER_MULTIPROC_METHOD": "fork"})
    set_environment("WARNING", offline=True)
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "fork"
