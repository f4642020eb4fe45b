"""What is corrected in vLLM's CPU backend, without an engine."""

import pytest

from frontrunner.runtime.engines.vllm import cpu_corrections

pytestmark = pytest.mark.engine
torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("supported", "granted", "used"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_amx_is_used_only_with_leave(
    monkeypatch: pytest.MonkeyPatch, supported: bool, granted: bool, used: bool
) -> None:
    asked: list[None] = []
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: supported)
    monkeypatch.setattr(torch.cpu, "_init_amx", lambda: asked.append(None) or granted)
    cpu_corrections._ask_for_amx()
    assert torch.cpu._is_amx_tile_supported() is used
    assert len(asked) == supported
