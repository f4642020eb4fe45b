"""Reads a model's files, without loading the model or any library that could.

A folder as Hugging Face's libraries write it, the hub's copy on this machine, or a single GGUF
file. What an endpoint says of its model is found out in ``runtime/engines/openai/served_model.py``,
and becomes the same ``ModelFiles``.
"""

import os
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from ..errors import BadRequest

#: What is fetched of a hub model: everything but the weights.
_SMALL_FILES: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.jinja2", "*.tiktoken")
#: A folder with one of these holds a model, or the tokenizer of one.
_TELLING: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")
_WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth")
_SPECIAL_TOKENS: Final = ("bos_token", "eos_token", "pad_token", "unk_token")
#: Under which names configurations give the longest context, the first that is there.
_CONTEXT_KEYS: Final = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")

#: What to do about a GGUF file, after words that say that vLLM does not read it.
GGUF_ADVICE: Final = (
    "name the folder or the hub name of the model that it was made from, or serve the file with "
    'llama.cpp\'s server, and set engine.kind = "openai" and engine.url'
)

Source = Literal["folder", "hub", "gguf", "endpoint"]


@dataclass(frozen=True)
class ModelFiles:
    """What the files of a model say; whatever is not there is empty or None."""

    model: str
    """The model as it was named: a folder, a hub name, or the address of an endpoint."""
    source: Source
    folder: Path | None = None
    """Where the files are on this machine."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """``config.json``."""
    generation_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """``generation_config.json``: the makers' sampling, and the tokens that end an answer."""
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """``tokenizer_config.json``."""
    chat_template: str | None = None
    """The text of the chat template (Jinja), the one named ``default`` where there are several."""
    special_tokens: Mapping[str, str] = field(default_factory=dict[str, str])
    """``bos_token``, ``eos_token``, ``pad_token``, ``unk_token``, those that there are."""
    added_tokens: tuple[str, ...] = ()
    """The tokens that the tokenizer takes as one piece, by their ids: markers such as
    ``<think>`` are among them."""
    weight_bytes: int | None = None
    """The size of all files of weights; None: not known."""
    served_context: int | None = None
    """For an endpoint: the longest context that it says it serves, in tokens."""
    server: str | None = None
    """For an endpoint: what runs there, such as ``vLLM 0.32.0``; None: it does not say."""

    @property
    def text_config(self) -> Mapping[str, Any]:
        """``config`` of the part that writes text: models that also see keep it in a table."""
        inner = self.config.get("text_config")
        return inner if isinstance(inner, Mapping) else self.config

    @property
    def model_type(self) -> str | None:
        """Such as ``qwen3``."""
        return _text(self.config.get("model_type")) or _text(self.text_config.get("model_type"))

    @property
    def architecture(self) -> str | None:
        """Such as ``Qwen3ForCausalLM``."""
        named = self.config.get("architectures")
        return _text(named[0]) if isinstance(named, Sequence) and named else None

    @property
    def dtype(self) -> str | None:
        """The number format that the weights were saved in, such as ``bfloat16``."""
        for config in (self.config, self.text_config):
            for key in ("dtype", "torch_dtype"):
                if said := _text(config.get(key)):
                    return said.removeprefix("torch.")
        return None

    @property
    def context_tokens(self) -> int | None:
        """The longest context that the model was made for, in tokens."""
        if self.served_context is not None:
            return self.served_context
        for key in _CONTEXT_KEYS:
            if (said := _count(self.text_config.get(key))) is not None:
                return said
        # Tokenizers without a limit give 10^30.
        said = _count(self.tokenizer_config.get("model_max_length"))
        return said if said is not None and said < 10**8 else None

    @property
    def vocabulary_size(self) -> int | None:
        """The number of tokens that the model can write."""
        return _count(self.text_config.get("vocab_size"))

    @property
    def quantization(self) -> str | None:
        """The method by which the weights were made smaller, such as ``awq``; None: they were
        not."""
        if self.source == "gguf":
            return "gguf"
        for config in (self.config, self.text_config):
            said = config.get("quantization_config")
            if isinstance(said, Mapping):
                return _text(said.get("quant_method")) or "unknown"
        return None

    @property
    def gguf(self) -> bool:
        """Whether all that there is of the model is a GGUF file."""
        return self.source == "gguf"

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """The ids of the tokens that end an answer."""
        for config in (self.generation_config, self.config, self.text_config):
            said = config.get("eos_token_id")
            found = said if isinstance(said, list) else [said]
            if ids := tuple(i for i in found if type(i) is int):
                return ids
        return ()

    @property
    def cache_bytes_per_token(self) -> int | None:
        """Bytes of the KV cache that a token of context takes, with two bytes a number; an upper
        bound where some layers keep a window only. None: the configuration does not say."""
        config = self.text_config
        layers, heads = _count(config.get("num_hidden_layers")), _heads(config)
        if layers is None or heads is None:
            return None
        if (latent := _count(config.get("kv_lora_rank"))) is not None:
            # Multi-head latent attention keeps one compressed vector and a rotary part.
            return 2 * layers * (latent + (_count(config.get("qk_rope_head_dim")) or 0))
        count, width = heads
        return 2 * 2 * layers * count * width


def inspect(model: str | Path) -> ModelFiles:
    """Read the files of a model.

    A hub name is looked for in the hub's cache on this machine; what is missing there is fetched
    with the ``huggingface_hub`` library, but never weights. It blocks.

    Args:
        model: a folder, a name on the Hugging Face hub, or a GGUF file.

    Raises:
        BadRequest: there is no model, or a file of it cannot be read; it says what to do.
    """
    named = str(model)
    if named.startswith(("http://", "https://")):
        raise BadRequest(f"{named} is an address: its model's files are not on this machine")
    path = Path(named).expanduser()
    if path.is_file():
        return _file(named, path)
    if path.is_dir():
        return _folder(named, path, "folder")
    if isinstance(model, Path) or named.startswith(("/", ".", "~")) or named.count("/") > 1:
        raise BadRequest(f"there is no folder {path}")
    return _folder(named, _hub_folder(named), "hub")


# ── places ────────────────────────────────────────────────────────────────────────────────────


def _file(named: str, path: Path) -> ModelFiles:
    if path.suffix.lower() == ".gguf":
        return ModelFiles(named, "gguf", path.parent, weight_bytes=path.stat().st_size)
    raise BadRequest(f"{path} is a file: name the model's folder, the one with its config.json")


def _hub_folder(name: str) -> Path:
    """The folder of the hub's copy on this machine, completed where the hub can be reached."""
    if find_spec("huggingface_hub") is None:
        raise BadRequest(
            f"there is no folder {name}, and for a name on the Hugging Face hub the "
            "huggingface_hub library is missing: pip install huggingface_hub"
        )
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, "config.json")
        if isinstance(cached, str):
            return Path(cached).parent
        return Path(snapshot_download(name, allow_patterns=list(_SMALL_FILES)))
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadRequest(
            f"there is no folder {name}, and it cannot be had from the Hugging Face hub: {first} "
            "(check the name and the network; a model that is not public wants the environment "
            "variable HF_TOKEN)"
        ) from error


def _folder(named: str, folder: Path, source: Source) -> ModelFiles:
    ggufs = sorted(folder.glob("*.gguf"))
    if not any((folder / name).exists() for name in _TELLING):
        if ggufs:
            size = sum(path.stat().st_size for path in ggufs)
            return ModelFiles(named, "gguf", folder, weight_bytes=size)
        raise BadRequest(
            f"no model in {folder}: a folder with a config.json is expected, as Hugging Face's "
            "libraries write it"
        )
    tokenizer = _json(folder / "tokenizer_config.json")
    weights = _weight_bytes(folder)
    return ModelFiles(
        named,
        "gguf" if ggufs and weights is None else source,
        folder,
        config=_json(folder / "config.json"),
        generation_config=_json(folder / "generation_config.json"),
        tokenizer_config=tokenizer,
        chat_template=_chat_template(folder, tokenizer),
        special_tokens=_special_tokens(folder, tokenizer),
        added_tokens=_added_tokens(folder, tokenizer),
        weight_bytes=weights,
    )


# ── files ─────────────────────────────────────────────────────────────────────────────────────


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes().removeprefix(BOM_UTF8))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadRequest(f"cannot read {path} ({error.strerror})") from error
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{path} is not JSON ({error}): copy the model again") from error
    if not isinstance(found, dict):
        raise BadRequest(f"{path} holds no JSON object: copy the model again")
    return found


def _chat_template(folder: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """As ``transformers`` looks for it: a file of its own goes before the tokenizer's."""
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"cannot read {path}: {error}") from error
    for said in (
        _json(folder / "chat_template.json").get("chat_template"),
        tokenizer.get("chat_template"),
    ):
        if isinstance(said, str):
            return said
        if isinstance(said, list):
            named = {
                t["name"]: t["template"]
                for t in said
                if isinstance(t, Mapping) and {"name", "template"} <= t.keys()
            }
            return _text(named.get("default")) or next(iter(named.values()), None)
    return None


def _special_tokens(folder: Path, tokenizer: Mapping[str, Any]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for said in (_json(folder / "special_tokens_map.json"), tokenizer):
        for name in _SPECIAL_TOKENS:
            if text := _token(said.get(name)):
                found[name] = text
    return found


def _added_tokens(folder: Path, tokenizer: Mapping[str, Any]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    entries = _json(folder / "tokenizer.json").get("added_tokens")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and type(entry.get("id")) is int:
            found[entry["id"]] = str(entry.get("content", ""))
    for text, number in _json(folder / "added_tokens.json").items():
        if type(number) is int:
            found.setdefault(number, text)
    decoder = tokenizer.get("added_tokens_decoder")
    for number, entry in decoder.items() if isinstance(decoder, Mapping) else ():
        with suppress(ValueError):
            found.setdefault(int(number), _token(entry) or "")
    return tuple(found[number] for number in sorted(found) if found[number])


def _weight_bytes(folder: Path) -> int | None:
    """All weights; of safetensors alone where those of another format lie beside them."""
    sizes: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = Path(entry.name).suffix
            if suffix in _WEIGHTS:
                with suppress(OSError):  # the hub's cache has links, and one may lead nowhere
                    sizes[suffix] = sizes.get(suffix, 0) + entry.stat().st_size
    if sizes:
        return sizes.get(".safetensors") or max(sizes.values())
    index = _json(folder / "model.safetensors.index.json").get("metadata")
    return _count(index.get("total_size")) if isinstance(index, Mapping) else None


# ── values ────────────────────────────────────────────────────────────────────────────────────


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    """A positive whole number; 10^30 is written as a float."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value > 0 else None


def _token(value: Any) -> str | None:
    """A token's text, which is a text or in a table of its properties."""
    return _text(value.get("content")) if isinstance(value, Mapping) else _text(value)


def _heads(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """The number of key-value heads and the width of one."""
    heads = _count(config.get("num_attention_heads"))
    count = _count(config.get("num_key_value_heads")) or heads
    hidden = _count(config.get("hidden_size"))
    width = _count(config.get("head_dim"))
    if width is None and hidden and heads:
        width = hidden // heads
    return (count, width) if count and width else None
