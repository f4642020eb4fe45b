"""``frontrunner config``: the reference of the config file."""

import os

from ...config import reference
from ...errors import BadRequest
from ...model_files.effective import effective
from ..common.console import print_json, print_lines
from ..common.running import ExitStatus
from ..options.config import ConfigCommand


def run_config(command: ConfigCommand) -> int:
    """Write the reference and return the exit status.

    Raises:
        BadRequest: there is no such table or key, or it was asked for in a form that has none.
        ConfigError: what counts in the end cannot be told, because something is wrong.
        OutputClosed: nobody reads standard output any more.
    """
    names = command.names or []
    if names and (command.schema or command.markdown):
        raise BadRequest("--schema and --markdown write everything: name no table or key")
    if not command.effective and (command.config is not None or command.sets):
        raise BadRequest("--config and --set say what counts in the end: add --effective")
    if command.effective and (command.schema or command.markdown):
        raise BadRequest("--effective writes values, --schema and --markdown what keys mean")
    if command.effective:
        print_lines(effective(command.config, command.sets or (), os.environ, names))
    elif command.schema:
        print_json(reference.json_schema())
    else:
        text = reference.as_markdown() if command.markdown else reference.as_toml(names)
        print_lines(text.splitlines())
    return ExitStatus.DONE
