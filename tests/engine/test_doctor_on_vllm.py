"""What the doctor runs in programs of its own, run here, where vLLM has been imported already."""

import sys
from collections.abc import Sequence
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest

from frontrunner.runtime.cli.commands import doctor_checks, doctor_model
from frontrunner.runtime.cli.common.findings import Level

pytest.importorskip("vllm")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Programs of Python run in this process. That they end badly is seen in the doctor's tests."""

    async def run(command: Sequence[str], **_: Any) -> CompletedProcess[bytes]:
        python, option, program, *arguments = command
        assert (python, option) == (sys.executable, "-c")
        monkeypatch.setattr(sys, "argv", ["-c", *arguments])
        capfd.readouterr()
        exec(program, {})
        return CompletedProcess(command, 0, capfd.readouterr().out.encode(), b"")

    monkeypatch.setattr(anyio, "run_process", run)


@pytest.mark.usefixtures("here")
async def test_the_libraries_are_in_order() -> None:
    torch, vllm = await doctor_checks.libraries()
    assert (torch.name, vllm.name) == ("torch", "vllm")
    assert torch.level is not Level.BAD, torch
    assert vllm.level is not Level.BAD, vllm


@pytest.mark.usefixtures("here")
async def test_what_top_p_costs_is_measured() -> None:
    measured = await doctor_model.sampling_seconds(1000, 0.9)
    assert measured is not None
    assert min(measured) > 0
