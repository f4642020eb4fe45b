"""``frontrunner init``: a config for the model that somebody has, and races that show it works."""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from rich.console import Console

from ...common.whole_files import StagedFile, staged
from ...config import DEMO_MODEL, OpenAISettings, Settings, demo_config_path
from ...engines.openai.served_model import inspect_endpoint
from ...engines.vllm.start import model_folder
from ...errors import BadRequest, EngineError, FrontrunnerError
from ...model_files.commented_toml import as_commented_toml
from ...model_files.families import family_of
from ...model_files.inspection import ModelFiles, inspect
from ...model_files.proposal import Machine, Proposal, heading, propose
from ..common.engine_startup import RuntimeFactory, spinner, started
from ..common.findings import Finding, Level, finding_lines
from ..common.machine import this_machine
from ..common.output import Output, is_terminal, standard_output
from ..common.running import ExitStatus, complain, run, status_of
from ..common.trial import KINDS, Trial, first_race, quiet, run_trial
from ..common.trial_findings import findings_of
from ..common.trial_progress import trial_progress
from ..common.trial_settings import better_kind, measured
from ..options.init import InitCommand

_NEXT: Final = """\
Ask it something:

  frontrunner solve "Tom has 3 apples and buys 5 more. How many has he now?" --config {config}

or serve it: frontrunner serve --config {config}"""


def run_init(command: InitCommand, make_runtime: RuntimeFactory) -> int:
    """Write the config and return the exit status.

    Raises:
        FrontrunnerError: before anything was written.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came; nothing was written.
    """
    if command.out.exists() and not command.force:
        raise BadRequest(
            f"{command.out} exists: --force replaces it, --out names another file to write"
        )
    with ExitStack() as stack:
        output = None if is_terminal() else stack.enter_context(standard_output())
        file = stack.enter_context(staged(command.out))
        return run(lambda: _init(command, make_runtime, file, _Speaker(output)))


class _Speaker:
    """Writes lines to standard output, in colours where it is a terminal."""

    def __init__(self, output: Output | None) -> None:
        self._output = output
        self._console = Console(highlight=False)

    async def say(self, *lines: str) -> None:
        for line in lines:
            if self._output is None:
                self._console.print(line, markup=False, soft_wrap=True)
            else:
                await self._output.line(line)

    async def findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            for line in finding_lines(finding):
                if self._output is None:
                    self._console.print(line, soft_wrap=True)
                else:
                    await self._output.line(line.plain)


async def _init(
    command: InitCommand, make_runtime: RuntimeFactory, file: StagedFile, speaker: _Speaker
) -> int:
    engine = engine_of(command.model, command.out, command.key_env)
    with spinner("reading what the model says of itself", sys.stderr):
        files = await files_of(command.model, engine)
    machine = this_machine()
    proposal = proposal_of(command.model, files, machine, engine)
    await speaker.say(heading(files, machine, ())[0])
    findings: list[Finding] = []
    settings = _write(file, proposal, files, machine)
    failure: FrontrunnerError | None = None
    if command.race and settings.answers.kind in KINDS:
        try:
            trial, earlier = await _trial(settings, make_runtime)
        except EngineError as error:
            failure = error
        else:
            proposal = measured(proposal, trial, settings, earlier)
            settings = _write(file, proposal, files, machine)
            findings = findings_of(trial, settings)
    file.publish()
    await speaker.findings(findings)
    await speaker.say(f"Written: {command.out}.")
    if failure is not None:
        complain(f"{command.out} is written, but its engine does not run: {failure}")
        return status_of(failure)
    await speaker.say("", *_NEXT.format(config=command.out).splitlines())
    bad = any(finding.level is Level.BAD for finding in findings)
    return ExitStatus.FAILED if bad else ExitStatus.DONE


async def _trial(settings: Settings, make_runtime: RuntimeFactory) -> tuple[Trial, Trial | None]:
    """A trial, and the one before it if that showed another kind of answers to be better.

    Raises:
        EngineError: the engine does not start, or fails.

    Cancelling it stops the engine.
    """
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(started(make_runtime(quiet(settings)), show=True))
        with trial_progress() as told:
            first = await first_race(runtime, told)
            kind = better_kind(first)
            trial = await run_trial(runtime, told, kind, begun=first)
            return trial, first if kind is not None else None


def _write(file: StagedFile, proposal: Proposal, files: ModelFiles, machine: Machine) -> Settings:
    """Write the config and read it again, as every other command will."""
    text = as_commented_toml(proposal.settings, heading(files, machine, proposal.notes))
    file.write(text)
    return Settings.from_toml(file.path)


# ── what is said, and what is found ───────────────────────────────────────────────────────────


def engine_of(model: str, out: Path, key_env: str | None) -> Mapping[str, Any]:
    """The keys of ``[engine]`` that say what is raced on.

    Raises:
        BadRequest: an option has no meaning with it.
        ConfigError: the address is none.
    """
    if "://" in model:
        engine: dict[str, Any] = {"kind": "openai", "url": model}
        if key_env is not None:
            engine["key_env"] = key_env
        Settings.from_dict({"engine": engine})
        return engine
    if key_env is not None:
        raise BadRequest("--key-env is for endpoints, and MODEL is no address")
    path = Path(model).expanduser()
    if model == DEMO_MODEL or not path.is_dir():
        return {"model": model}
    # A config is read from its own folder: a model below that moves with it.
    here, folder = out.parent.resolve(), path.resolve()
    if here == folder or here in folder.parents:
        return {"model": os.path.join(".", folder.relative_to(here))}
    return {"model": str(folder)}


async def files_of(model: str, engine: Mapping[str, Any]) -> ModelFiles:
    """What the model's files say, or its endpoint.

    Raises:
        BadRequest: there is no such model.
        EngineStartError: the endpoint cannot be reached.
    """
    if engine.get("kind") == "openai":
        return await inspect_endpoint(OpenAISettings(**engine))
    named = str(engine["model"]) if model == DEMO_MODEL else model
    return await anyio.to_thread.run_sync(inspect, model_folder(named), abandon_on_cancel=True)


def proposal_of(
    model: str, files: ModelFiles, machine: Machine, engine: Mapping[str, Any]
) -> Proposal:
    """Settings for the model; of the demo's they are known.

    Raises:
        BadRequest: the model cannot be raced as it is; it says what to do.
    """
    if model != DEMO_MODEL:
        return propose(files, machine, engine=engine, family=family_of(files))
    proposal = propose(files, machine, engine=engine)
    tables = tomllib.loads(demo_config_path().read_text(encoding="utf-8"))
    for table, keys in _flat(tables).items():
        for key, value in keys.items():
            proposal = proposal.having(f"{table}.{key}", value, "as in configs/demo.toml")
    return proposal


def _flat(tables: Mapping[str, Any], path: str = "") -> dict[str, Mapping[str, Any]]:
    """Tables by their paths, without those in them."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, table in tables.items():
        if isinstance(table, Mapping):
            below = f"{path}.{name}" if path else name
            found[below] = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
            found |= _flat(table, below)
    return {name: keys for name, keys in found.items() if keys}
