"""What settings a model wants, by its own files and by the machine that it is to run on.

Each setting has its reason, which becomes the comment beside it. What only a race can tell (whether
branches answer in the form that is asked for, how long they get) is measured afterwards and put in
by ``Proposal.having``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, Final

from ..errors import BadRequest
from .cache_room import DEFAULT_CACHE_GIB
from .commented_toml import Setting, as_nested
from .families import Family
from .inspection import GGUF_ADVICE, ModelFiles

GIB: Final = 2**30
#: Of a vocabulary, from which on sorting it at every step is felt on a CPU.
LARGE_VOCABULARY: Final = 32_000
#: Branches of a race, as in the shipped configs.
_BRANCHES: Final = 16
#: Tokens that a question and its instruction may take beside what a branch writes.
_PROMPT: Final = 1024
#: The context that is offered at least, for conversations, where the model and the memory have it.
_CONTEXT: Final = 4096
#: Tokens of the longest branch, without and with thinking: on a CPU, and on a GPU.
_LENGTHS: Final = {
    (True, False): 512,
    (True, True): 2048,
    (False, False): 4096,
    (False, True): 8192,
}
#: The lowest temperature of a race: below it branches repeat one another.
_LOWEST_TEMPERATURE: Final = 0.6
_TEMPERATURE: Final = 0.8
#: Of a model with fewer bytes of weights than that (0.4 billion parameters in bfloat16): it is so
#: unsure of each token that branches differ anyway, and drawing unlikely ones derails it.
#: SmolLM2-135M is right more often at 0.2 than at 0.5.
_SMALL: Final = 800 * 2**20
_SMALL_TEMPERATURE: Final = 0.2
#: Likeliest tokens, where something must keep the unlikely ones out.
_TOP_K: Final = 50
#: Share of the free memory that the KV cache may take on a CPU, beside the weights.
_CACHE_SHARE: Final = 0.4
_NUMBER_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the model is to run."""

    on_cpu: bool
    free_bytes: int | None = None
    """Memory that is free: of the GPU where there is one, else of the machine. None: not known."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Settings with their reasons."""

    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()
    """What somebody must know before anything is started; paragraphs."""

    @property
    def nested(self) -> dict[str, Any]:
        """As ``Settings.from_dict`` takes them."""
        return as_nested(self.settings)

    def get(self, path: str) -> Any:
        """The value of a setting; None: it is not said."""
        return next((s.value for s in self.settings if s.path == path), None)

    def having(self, path: str, value: Any, reason: str) -> "Proposal":
        """The same with this setting, in the place of an earlier one or behind its table."""
        setting = Setting(path, value, reason)
        kept = list(self.settings)
        for index, other in enumerate(kept):
            if other.path == path:
                kept[index] = setting
                return replace(self, settings=tuple(kept))
        return replace(self, settings=(*kept, setting))

    def noting(self, note: str) -> "Proposal":
        """The same with one more paragraph of what somebody must know."""
        return replace(self, notes=(*self.notes, note))


def propose(
    files: ModelFiles,
    machine: Machine,
    *,
    engine: Mapping[str, Any],
    family: Family | None = None,
) -> Proposal:
    """Settings for a model on a machine.

    Args:
        files: what the model's own files say.
        machine: of this process; of no weight for an endpoint.
        engine: what was said about the engine already: ``model``, or ``kind`` and ``url``.
        family: of the model; what it says holds without being written, but for what differs here.

    Raises:
        BadRequest: the model cannot be raced as it is; it says what to do.
    """
    check_servable(files)
    remote = engine.get("kind") == "openai"
    on_cpu = machine.on_cpu and not remote
    thinking = _thinking(family, on_cpu=on_cpu)
    thinks = family is not None and family.thinks and "off" not in (s.value for s in thinking)
    longest = _LENGTHS[on_cpu, thinks]
    made_for = files.context_tokens
    context = max(longest + _PROMPT, _CONTEXT)
    context = context if made_for is None else min(made_for, context)
    number, why = _number_format(files, machine)
    cache: float | None = None
    if on_cpu:
        cache, context = _cpu_cache(files, number, machine, context, longest)
    longest = min(longest, max(64, context - min(_PROMPT, context // 2)))
    notes: tuple[str, ...] = ()
    settings = [Setting(f"engine.{key}", value, "") for key, value in engine.items()]
    if family is not None:
        found = f"found by its files; {family.source}"
        settings.append(Setting("engine.family", family.key, found))
    if remote:
        settings += _remote(files)
    else:
        settings += [Setting("engine.dtype", number, why), *_local(files, machine, context, cache)]
        notes = _notes(files, number, machine)
    settings += thinking
    settings += _sampling(files, family, longest, thinks=thinks, on_cpu=on_cpu)
    settings += _race(files, thinks=thinks)
    return Proposal(tuple(settings), notes)


def check_servable(files: ModelFiles) -> None:
    """
    Raises:
        BadRequest: vLLM does not read such files; it says what does.
    """
    if files.source == "endpoint":
        return
    if files.gguf:
        raise BadRequest(
            f"engine.model: {files.model} is a GGUF model, which vLLM does not read: {GGUF_ADVICE}"
        )
    if not files.config:
        raise BadRequest(
            f"engine.model: there is no config.json in {files.folder}: only a tokenizer is there"
        )


# ── the engine ────────────────────────────────────────────────────────────────────────────────


def _remote(files: ModelFiles) -> list[Setting]:
    found = [
        Setting("engine.model", files.model, "as the endpoint calls it"),
        Setting("engine.max_branches", 32, "connections; more requests wait here, by priority"),
    ]
    if files.served_context is None:
        made_for = files.context_tokens
        reason = "what the model was made for" if made_for else "a guess: correct it"
        found.append(
            Setting(
                "engine.max_context_tokens",
                made_for or 4096,
                f"the endpoint does not say how long its context is; {reason}",
            )
        )
    return found


def _local(files: ModelFiles, machine: Machine, context: int, cache: float | None) -> list[Setting]:
    settings: list[Setting] = []
    if cache is not None:
        a_token = files.cache_bytes_per_token
        holds = "a guess: enlarge it if branches wait"
        if a_token is not None:
            holds = f"it holds about {int(cache * GIB / a_token):,} tokens of all branches"
        settings.append(Setting("engine.cache_gib", cache, f"the KV cache; {holds}"))
    made_for = files.context_tokens
    of = f"; the model was made for {made_for:,}" if made_for else ""
    settings += [
        Setting("engine.max_context_tokens", context, f"question and branch together{of}"),
        Setting(
            "engine.max_branches",
            2 * _BRANCHES if machine.on_cpu else 4 * _BRANCHES,
            "requests at once, of all races together",
        ),
    ]
    if not machine.on_cpu:
        why = "an engine step is never interrupted: short ones, sharp deadlines"
        settings.append(Setting("engine.prefill_tokens_per_step", 2048, why))
    return settings


def _notes(files: ModelFiles, number: str, machine: Machine) -> tuple[str, ...]:
    weights, free = _weights(files, number), machine.free_bytes
    if weights is None or free is None or weights <= free:
        return ()
    instead = "a machine with more memory" if machine.on_cpu else "engine.tensor_parallel"
    return (
        f"The weights take {weights / GIB:.1f} GiB, and {free / GIB:.1f} GiB of memory are free "
        f"here: it will hardly start. Take a smaller or a quantised model, or {instead}.",
    )


def _number_format(files: ModelFiles, machine: Machine) -> tuple[str, str]:
    saved = files.dtype
    if files.quantization is not None:
        return "auto", f"quantised ({files.quantization})"
    if saved == "bfloat16" or (saved == "float16" and not machine.on_cpu):
        return saved, "as the model was saved"
    if saved == "float16":
        return "bfloat16", "saved in float16, which is slow or missing on CPUs"
    if saved == "float32":
        return "bfloat16", "saved in float32; this takes half of the memory and of the time"
    return "bfloat16", "the model does not say in what it was saved"


def _weights(files: ModelFiles, number: str) -> int | None:
    """Bytes of the weights as they are loaded."""
    if files.weight_bytes is None or files.dtype is None or number == "auto":
        return files.weight_bytes
    return files.weight_bytes * _NUMBER_BYTES[number] // _NUMBER_BYTES.get(files.dtype, 2)


def _cpu_cache(
    files: ModelFiles, number: str, machine: Machine, context: int, longest: int
) -> tuple[float, int]:
    """The KV cache's size in GiB, and the longest context, which must fit into it."""
    a_token = files.cache_bytes_per_token
    if a_token is None:
        return DEFAULT_CACHE_GIB, context
    a_token = a_token * _NUMBER_BYTES.get(number, 2) // 2
    # All branches of a race at their longest, the question once; and one of the longest context.
    wanted = a_token * max(_BRANCHES * longest + _PROMPT, context + 64)
    if machine.free_bytes is not None:
        free = max(0, machine.free_bytes - (_weights(files, number) or 0))
        wanted = min(wanted, int(_CACHE_SHARE * free))
    size = max(0.25, ceil(wanted / GIB * 4) / 4)
    # vLLM wants room for one context of full length, in whole blocks.
    return size, min(context, max(256, int(0.95 * size * GIB / a_token)))


# ── the race ──────────────────────────────────────────────────────────────────────────────────


def _thinking(family: Family | None, *, on_cpu: bool) -> list[Setting]:
    """Whether the model is told to think, where it can be told."""
    if family is None or not family.thinks:
        return []
    says = family.settings["thinking"]
    if on_cpu and says.get("off_arguments"):
        why = 'on a CPU thinking takes minutes; "on" lets it think'
        return [Setting("thinking.mode", "off", why)]
    if says.get("on_arguments"):
        why = 'it thinks before it answers; "off" makes it quick, and less often right'
        return [Setting("thinking.mode", "on", why)]
    return [Setting("thinking.mode", "auto", "this model always thinks before it answers")]


def _sampling(
    files: ModelFiles, family: Family | None, longest: int, *, thinks: bool, on_cpu: bool
) -> list[Setting]:
    said, makers = files.generation_config, "the makers', in generation_config.json"
    said = {} if said.get("do_sample") is False else said
    if family is not None and "sampling" in family.settings:
        said, makers = family.settings["sampling"], f"the makers', for {family.name}"
    settings = [_temperature(said.get("temperature"), makers, small=_is_small(files))]
    top_p, top_k = said.get("top_p"), said.get("top_k")
    top_p = float(top_p) if isinstance(top_p, int | float) and 0 < top_p < 1 else None
    top_k = top_k if type(top_k) is int and top_k > 0 else None
    vocabulary = files.vocabulary_size or 0
    if top_p is not None and on_cpu and vocabulary > LARGE_VOCABULARY:
        why = f"not the makers' {top_p:g}: a CPU would sort {vocabulary:,} tokens at every step"
        settings.append(Setting("sampling.top_p", 1.0, why))
        why = makers if top_k is not None else "in its place: it is cheap, and does the same"
        settings.append(Setting("sampling.top_k", top_k or _TOP_K, why))
    elif top_p is not None or top_k is not None:
        settings += [] if top_p is None else [Setting("sampling.top_p", top_p, makers)]
        settings += [] if top_k is None else [Setting("sampling.top_k", top_k, makers)]
    elif files.source != "endpoint" and "top_p" not in said:
        why = "keeps out the unlikely tokens that derail small models"
        settings.append(Setting("sampling.top_k", _TOP_K, why))
    if files.chat_template is None and files.source != "endpoint":
        why = "a base model goes on to questions of its own"
        settings.append(Setting("sampling.stop", ["\nQuestion"], why))
    why = "the longest branch" + (", its thinking included" if thinks else "")
    return [*settings, Setting("sampling.max_tokens", longest, why)]


def _temperature(said: Any, makers: str, *, small: bool) -> Setting:
    path = "sampling.temperature"
    lowest = _SMALL_TEMPERATURE if small else _LOWEST_TEMPERATURE
    if not isinstance(said, int | float) or isinstance(said, bool) or not 0 < said <= 2:
        if small:
            return Setting(path, lowest, "so small a model derails where unlikely tokens are drawn")
        return Setting(path, _TEMPERATURE, "branches must differ: a vote of copies says nothing")
    if said < lowest:
        return Setting(path, lowest, f"the makers' {said:g} would make the branches copies")
    return Setting(path, float(said), makers)


def _is_small(files: ModelFiles) -> bool:
    if files.quantization is not None:
        return False  # its bytes do not tell how many parameters it has
    weights = _weights(files, "bfloat16")
    return weights is not None and weights < _SMALL


def _race(files: ModelFiles, *, thinks: bool) -> list[Setting]:
    deadline = 60.0 if thinks else 10.0
    return [
        Setting("race.deadline", deadline, "seconds, where a call does not say"),
        Setting("race.branches", _BRANCHES, "that race; they share the engine's steps"),
        *_answers(files),
    ]


def _answers(files: ModelFiles) -> list[Setting]:
    if files.chat_template is None and files.source != "endpoint":
        reason = "no chat template: a base model, which goes on with text and boxes nothing"
        return [Setting("answers.kind", "last_number", reason)]
    reason = "it is asked to put its answer into \\boxed{}"
    return [Setting("answers.kind", "boxed", reason)]


def heading(files: ModelFiles, machine: Machine, notes: Sequence[str]) -> list[str]:
    """The paragraphs that the file begins with."""
    facts = [files.architecture, files.dtype and f"saved in {files.dtype}"]
    if files.weight_bytes:
        facts.append(f"{files.weight_bytes / 2**20:,.0f} MiB of weights")
    if files.vocabulary_size:
        facts.append(f"a vocabulary of {files.vocabulary_size:,}")
    if files.context_tokens:
        facts.append(f"a context of {files.context_tokens:,} tokens")
    if files.server:
        facts.append(f"served by {files.server}")
    where = "" if files.source == "endpoint" else f", on a {'CPU' if machine.on_cpu else 'GPU'}"
    known = f": {', '.join(fact for fact in facts if fact)}" if any(facts) else ""
    # Servers call a model that is a folder of theirs by its path.
    is_path = files.source == "folder" or files.model.startswith("/")
    named = Path(files.model).name if is_path else files.model
    return [
        f"{named}{where}{known}.",
        *notes,
        "Written by `frontrunner init`; `frontrunner config` explains every key, and `frontrunner "
        "doctor --config` this file, looks whether it works.",
    ]
