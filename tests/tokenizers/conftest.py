"""Tokenizers that models are served with, which ``.ci/tokenizers.py`` has fetched; a test that
misses one is skipped."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from .families import CONFIGS, FAMILIES, TEMPLATES

FETCHED = Path(sys.prefix) / "tokenizers"


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """The name of a family of models; a test that takes it runs for each."""
    return request.param


@pytest.fixture(scope="session")
def model_folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as models come in, but without weights."""
    return make_model_folder(family, tmp_path_factory.mktemp(family))


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path) -> Any:
    """A tokenizer of the ``transformers`` library, its chat template included."""
    transformers = pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it finds in other people's files
        return transformers.AutoTokenizer.from_pretrained(model_folder)


def make_model_folder(family: str, folder: Path, **config: Any) -> Path:
    """Make ``folder`` that of a model of ``family``.

    Args:
        config: of the model, over what its tokenizer needs.
    """
    fetched = FETCHED / family
    if not (fetched / "checksum").is_file():
        pytest.skip(f"the tokenizer of {family} is not there: run .ci/tokenizers.py")
    (folder / "tokenizer.json").symlink_to(fetched / "tokenizer.json")
    told = json.loads((fetched / "tokenizer_config.json").read_text())
    if family in TEMPLATES:
        told["chat_template"] = TEMPLATES[family]
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps({**CONFIGS[family], **config}))
    return folder
