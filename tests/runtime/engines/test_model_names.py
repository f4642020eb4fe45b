"""What a model is called where clients read it."""

import pytest

from frontrunner.runtime.engines.model_names import model_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("demo", "demo"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("/srv/models/smollm2", "smollm2"),
        ("/srv/models/smollm2/", "smollm2"),
        ("./smollm2", "smollm2"),
        ("~/models/smollm2", "smollm2"),
        ("/hub/models--Qwen--Qwen3-0.6B/snapshots/0a1b", "Qwen/Qwen3-0.6B"),
        ("/hub/models--gpt2", "gpt2"),
    ],
)
def test_a_folder_is_called_by_its_name(model: str, name: str) -> None:
    assert model_name(model) == name
