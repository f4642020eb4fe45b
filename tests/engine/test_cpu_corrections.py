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


def test_ranks_are_counted_without_compiling() -> None:
    from vllm.platforms import current_platform
    from vllm.v1.sample import sampler

    if not current_platform.is_cpu():
        pytest.skip("compiled as vLLM means it")
    cpu_corrections.register()
    count = vars(sampler)["batched_count_greater_than"]
    assert not hasattr(count, "_torchdynamo_orig_callable")
    counted = count(torch.tensor([[0.1, 0.5, 0.4], [3.0, 1.0, 2.0]]), torch.tensor([[0.4], [3.0]]))
    assert counted.tolist() == [2, 1]
