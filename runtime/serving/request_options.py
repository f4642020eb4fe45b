"""What a request says about its race beyond OpenAI's parameters: the ``frontrunner`` object of its
body, and headers with a deadline."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from pydantic_core import ErrorDetails

from ..answers.equivalence.rules import Order, Units
from ..config import Settings
from ..race_options import RaceOptions
from .errors import BadParameter

B = TypeVar("B", bound=BaseModel)

#: Headers that ask for a deadline, and what a second is in their unit.
_DEADLINES: Final = {"x-frontrunner-deadline": 1.0, "x-request-timeout-ms": 1000.0}
_NUMBER: Final = re.compile(r"[0-9]{1,64}(?:\.[0-9]{0,64})?(?:[eE][+-]?[0-9]{1,3})?")
#: Headers in which clients say, unasked, for how long they will wait, in seconds.
_PATIENCES: Final = ("x-stainless-read-timeout", "x-litellm-timeout")


class AnswerFields(BaseModel):
    """What an answer is, and how answers are compared. What is not said is as in ``[answers]``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    kind: str | None = None
    """A kind of ``[answers]``, such as ``boxed``, ``json``, ``text``."""
    units: Units | None = None
    """Whether the unit of a number is dropped or kept."""
    tolerance: float | None = Field(default=None, ge=0, le=0.1)
    """Relative, for numbers; 0: exactly."""
    order: Order | None = None
    """Where the order of a list's items counts."""


class FrontrunnerOptions(BaseModel):
    """The ``frontrunner`` object of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    deadline: PositiveFloat | None = None
    """Seconds in which the answer must be there. None: the server's default."""
    strategy: str | None = None
    """Who decides. None: the server's default."""
    parameters: dict[str, Any] | None = None
    """Of the strategy."""
    branches: PositiveInt | None = None
    """Reasoning branches to race. None: the server's default."""
    min_branches: PositiveInt | None = None
    """The fewest that will do when the engine is busy."""
    events: bool | None = None
    """Whether a stream tells of branches and votes. None: the server's default."""
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    """What becomes of the race when the client goes away."""
    answers: str | AnswerFields | None = None
    """What an answer is: a kind of ``[answers]``, such as ``boxed``, ``json``, ``text``; or that
    and how answers are compared."""

    @property
    def keeps_on(self) -> bool:
        """Whether the race goes on without its client."""
        return self.on_disconnect == "continue"


class Sampled(BaseModel):
    """OpenAI's parameters that all its APIs have. Other keys are ignored: clients send many."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)

    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    frontrunner: FrontrunnerOptions = FrontrunnerOptions()


def checked(model: type[B], data: Any) -> B:
    """``data`` as ``model``.

    Raises:
        BadParameter: naming the field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # Of a field with several forms every form complains: the one that fits best got furthest.
        told = error.errors(include_url=False, include_context=False)
        worst = max(told, key=lambda fault: len(_path(fault, data)))
        path = ".".join(_path(worst, data))
        what = "unknown key" if worst["type"] == "extra_forbidden" else str(worst["msg"])
        message = f"{path}: {what}" if path else what
        raise BadParameter(message, path or None) from None


def _path(fault: ErrorDetails, data: Any) -> list[str]:
    """The keys of ``data`` that lead to a fault: without the names of a union's members, which
    pydantic puts between them."""
    path: list[str] = []
    for part in fault["loc"]:
        if isinstance(data, dict) and (part in data or fault["type"] == "missing"):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        else:
            continue
        path.append(str(part))
    return path


def deadline_of(asked: float | None, headers: Mapping[str, str], settings: Settings) -> float:
    """Seconds that a race gets: the smallest of what the body and the headers ask for, or the
    settings' default if they ask for none; and never more than the client will wait for or
    ``server.max_deadline`` allows.

    Raises:
        BadParameter: a header that asks for a deadline holds none.
    """
    wishes = [] if asked is None else [asked]
    for header, unit in _DEADLINES.items():
        if (value := headers.get(header)) is not None:
            seconds = _seconds(value)
            if seconds is None:
                raise BadParameter(f"the header {header} must be a positive number", header)
            wishes.append(seconds / unit)
    wishes = wishes or [settings.race.deadline]
    for header in _PATIENCES:
        # Whatever else stands there ("None") is nobody's mistake.
        if (seconds := _seconds(headers.get(header, ""))) is not None:
            wishes.append(seconds)
    return min(*wishes, settings.server.max_deadline)


def race_options(
    asked: FrontrunnerOptions, headers: Mapping[str, str], settings: Settings, **more: Any
) -> RaceOptions:
    """The options of a race for ``Runtime``; ``more`` are others of them, left out where None.

    Raises:
        BadParameter: see ``deadline_of``.
    """
    options = {
        "deadline": deadline_of(asked.deadline, headers, settings),
        "strategy": asked.strategy,
        "parameters": asked.parameters,
        "branches": asked.branches,
        "min_branches": asked.min_branches,
        "answers": asked.answers
        if isinstance(asked.answers, str | None)
        else asked.answers.model_dump(exclude_none=True),
        **more,
    }
    return cast(RaceOptions, {key: value for key, value in options.items() if value is not None})


def _seconds(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):  # ``float`` also reads "nan", "1_0" and digits of all scripts
        return None
    value = float(text)
    return value if isfinite(value) and value > 0 else None
