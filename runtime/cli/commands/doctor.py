"""``frontrunner doctor``: is everything there, and what to do about what is not."""

import os
import sys
from contextlib import ExitStack

from rich.console import Console

from ...config import CONFIG_VARIABLE, Settings
from ...errors import ConfigError
from ..common.command_races import load_settings
from ..common.engine_startup import RuntimeFactory, spinner
from ..common.findings import Finding, Level, finding_lines
from ..common.output import Output, is_terminal, standard_output
from ..common.running import ExitStatus, run
from ..display.ndjson import json_line
from ..options.doctor import DoctorCommand
from . import doctor_checks as checks
from .doctor_model import model_findings


def run_doctor(command: DoctorCommand, make_runtime: RuntimeFactory) -> int:
    """Run all checks and return the exit status.

    Raises:
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    with ExitStack() as stack:
        plain = command.json or not is_terminal()
        output = stack.enter_context(standard_output()) if plain else None
        return run(lambda: _examine(command, make_runtime, output))


async def _examine(
    command: DoctorCommand, make_runtime: RuntimeFactory, output: Output | None
) -> int:
    found: list[Finding] = []
    console = Console(highlight=False)

    async def report(*findings: Finding) -> None:
        found.extend(findings)
        for finding in findings if not command.json else ():
            for line in finding_lines(finding):
                if output is None:
                    console.print(line, soft_wrap=True)
                else:
                    await output.line(line.plain)

    settings, findings = _settings(command)
    await report(checks.python(), checks.installation(), *findings)
    await report(checks.processor(), checks.memory())
    with spinner("importing torch and vLLM", sys.stderr):
        libraries = await checks.libraries()
    await report(*libraries)
    await report(*checks.companions(), checks.plugin(settings))
    if settings is not None:
        await report(*checks.models(settings))
    if settings is not None and command.config is not None:
        with spinner("looking at the model's files and its tokenizer", sys.stderr):
            findings = await model_findings(settings)
        await report(*findings)
    with spinner("comparing two answers", sys.stderr):
        finding = await checks.answer_worker()
    await report(finding)
    if settings is not None and command.engine:
        race = command.config is not None if command.race is None else command.race
        await report(*await checks.engine(settings, make_runtime, race=race))

    healthy = all(finding.level is not Level.BAD for finding in found)
    if command.json and output is not None:
        await output.write(json_line({"healthy": healthy, "findings": found}))
    return ExitStatus.DONE if healthy else ExitStatus.FAILED


def _settings(command: DoctorCommand) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = load_settings(command.config, command.sets)
    except ConfigError as error:
        found = [Finding("config", Level.BAD, said, "correct the file") for said in error.each]
        return None, found
    named = command.config or os.environ.get(CONFIG_VARIABLE) or "the embedded demo's"
    return settings, [Finding("config", Level.GOOD, str(named))]
