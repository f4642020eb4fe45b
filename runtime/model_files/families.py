"""Settings by model family, from data files: ``configs/families/*.toml``.

A family is found by the model's own files (its ``config.json``, chat template and added tokens), or
by the model's name where only that is known. What it says fills in settings that nobody set::

    name = "Qwen3"
    source = "https://…"                # a public page that says so

    [match]                             # all that is known of a model must agree
    model_types = ["qwen3"]             # model_type in config.json: one of these
    template = ["enable_thinking"]      # in the chat template: all of these
    not_template = []                   #                       none of these
    tokens = ["<think>"]                # among the added tokens: all of these
    names = ["qwen3-8b*"]               # the model's name, in lower case and without its owner
    not_names = ["*-base"]

    [settings.sampling]                 # a table of the configuration, as in its file
    temperature = 0.6
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import ValidationError

from ..config import DEMO_MODELS, EngineSettings, PoolSettings, Settings, demo_config_path
from ..errors import BadRequest, ConfigError
from .inspection import ModelFiles, inspect

_log = structlog.get_logger("frontrunner.model_files")

#: The tables that a family may fill in.
TABLES: Final = frozenset({"sampling", "thinking", "prompt"})
#: Of ``[thinking]``: who sets one of the first has said how thinking is marked, and none of both is
#: filled in then.
_MARKS: Final = frozenset({"start", "end", "channels", "parser"})
_WITH_MARKS: Final = frozenset({"closing", "special_tokens", "turn_ends"})


@dataclass(frozen=True, slots=True)
class Match:
    """How the models of a family are known; empty: by anything."""

    model_types: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    not_template: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    not_names: tuple[str, ...] = ()

    def by_files(self, files: ModelFiles) -> bool:
        """Whether files that hold a chat template say so. A base model has none, and is of no
        family: how to talk with it is not known."""
        template = files.chat_template
        if template is None:
            return False
        if files.model_type is not None and files.model_type not in self.model_types:
            return False
        if files.added_tokens and not {*self.tokens} <= {*files.added_tokens}:
            return False
        return all(said in template for said in self.template) and not any(
            said in template for said in self.not_template
        )

    def by_name(self, model: str) -> bool:
        """Whether a name such as ``Qwen/Qwen3-8B`` says so."""
        name = model.rstrip("/").rpartition("/")[2].lower()
        return any(fnmatchcase(name, pattern) for pattern in self.names) and not any(
            fnmatchcase(name, pattern) for pattern in self.not_names
        )


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of a family of models."""

    key: str
    """What it is called in ``engine.family``: the name of its file."""
    name: str
    source: str
    """A public page that its settings are from."""
    match: Match
    settings: Mapping[str, Mapping[str, Any]]
    """By table and key."""

    @property
    def thinks(self) -> bool:
        """Whether its models think before they reply, unless they are told not to."""
        thinking = self.settings.get("thinking", {})
        return "start" in thinking or bool(thinking.get("channels"))


def families_folder() -> Path:
    """Where the data files are."""
    return demo_config_path().parent / "families"


@cache
def families() -> Mapping[str, Family]:
    """All families by their keys."""
    found = (read_family(path) for path in sorted(families_folder().glob("*.toml")))
    return {family.key: family for family in found}


def read_family(path: Path) -> Family:
    """A family from its file.

    Raises:
        ConfigError: the file says something that no family can say.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        match = Match(**{key: tuple(values) for key, values in data.pop("match").items()})
        family = Family(
            path.stem, data.pop("name"), data.pop("source"), match, data.pop("settings")
        )
    except (KeyError, TypeError) as error:
        raise ConfigError("", f"no family: {error}", str(path)) from error
    if odd := sorted({*data, *(family.settings.keys() - TABLES)}):
        raise ConfigError(odd[0], "a family cannot say this", str(path))
    fill_in(Settings(), family)
    return family


def family_of(files: ModelFiles) -> Family | None:
    """The family of a model: by its files, or by its name where they hold no chat template and may
    lack one only because they are not here."""
    for family in families().values():
        if family.match.by_files(files):
            return family
    lacking = files.source in ("endpoint", "gguf") or (
        files.source == "hub" and not files.tokenizer_config
    )
    return family_named(files.model) if lacking and files.chat_template is None else None


def family_named(model: str) -> Family | None:
    """The family of a model of which only the name is known."""
    return next((f for f in families().values() if f.match.by_name(model)), None)


def family_for(engine: EngineSettings, model: str | None = None) -> Family | None:
    """The family of the model that ``engine`` names: as ``engine.family`` says, or by what of the
    model is on this machine. Nothing is fetched.

    Args:
        model: a folder or a hub name in place of the engine's.

    Raises:
        ConfigError: there is no such family.
    """
    if engine.family not in ("auto", "none"):
        if (family := families().get(engine.family)) is None:
            known = ", ".join(families())
            raise ConfigError(
                "engine.family", f"there is no family {engine.family!r}: auto, none, {known}"
            )
        return family
    if engine.family == "none":
        return None
    if isinstance(engine, PoolSettings):
        engine = engine.known
    if model is None:
        model = engine.model if engine.kind == "vllm" else engine.tokenizer or engine.model
    if model in DEMO_MODELS and engine.kind == "vllm":
        return None
    if not _at_hand(model):
        return family_named(model)
    try:
        return family_of(inspect(model))
    except BadRequest:  # whatever is wrong with it is for the engine to say
        return None


def with_family(settings: Settings, model: str | None = None) -> Settings:
    """``settings`` with what the model's family says where they say nothing, and with the variables
    of the chat template that ``thinking.mode`` stands for.

    Args:
        model: a folder or a hub name in place of the engine's. An endpoint that names its model
            itself is asked first (``is_named_later``): until then nothing is filled in.

    Raises:
        ConfigError: there is no such family, or the model cannot think, or not think, as asked.
    """
    if model is None and is_named_later(settings.engine):
        return settings
    family = family_for(settings.engine, model)
    if family is not None:
        settings = fill_in(settings, family)
        _log.info("frontrunner.model_family", family=family.name, source=family.source)
    return _in_mode(settings)


def is_named_later(engine: EngineSettings) -> bool:
    """Whether only the endpoint says which model there is."""
    if isinstance(engine, PoolSettings):
        engine = engine.known
    named = engine.kind == "vllm" or engine.model or engine.tokenizer
    return not named and engine.family == "auto"


def fill_in(settings: Settings, family: Family) -> Settings:
    """``settings`` with what ``family`` says where they say nothing."""
    sections: dict[str, Any] = {}
    for table, says in family.settings.items():
        section = getattr(settings, table)
        said = section.model_dump(exclude_unset=True)
        told = dict(says)
        if table == "thinking" and said.keys() & _MARKS:
            told = {key: told[key] for key in told.keys() - _MARKS - _WITH_MARKS}
        try:
            sections[table] = type(section).model_validate({**told, **said})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join([table, *map(str, first["loc"])])
            raise ConfigError(
                key, f"{first['msg']} (with what the family {family.key} says)"
            ) from error
    return settings.model_copy(update=sections)


def _in_mode(settings: Settings) -> Settings:
    thinking, prompt = settings.thinking, settings.prompt
    knows = thinking.marked or thinking.parser is not None
    if thinking.token_budget is not None and not knows:
        raise ConfigError(
            "thinking.token_budget",
            "it is not known how this model marks its thinking: set thinking.start and "
            "thinking.end, thinking.parser, or engine.family",
        )
    if thinking.mode == "auto":
        return settings
    told = thinking.on_arguments if thinking.mode == "on" else thinking.off_arguments
    if not told and thinking.mode == "off" and knows:
        raise ConfigError(
            "thinking.mode",
            "this model always thinks: nothing is known that tells its chat template not to "
            "(thinking.off_arguments)",
        )
    if thinking.mode == "on" and not knows:
        raise ConfigError(
            "thinking.mode",
            "it is not known how this model marks its thinking: set thinking.start and "
            "thinking.end, or engine.family",
        )
    arguments = {**told, **prompt.template_arguments}
    prompt = prompt.model_copy(update={"template_arguments": arguments})
    return settings.model_copy(update={"prompt": prompt})


def _at_hand(model: str) -> bool:
    """Whether a model's files are on this machine."""
    path = Path(model).expanduser()
    if path.exists():
        return True
    if model.count("/") > 1 or model.startswith((".", "~", "/")) or not model:
        return False
    if find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(model, "config.json"), str)
    except HFValidationError:
        return False
