"""``frontrunner config``: the reference of the config file."""

from ...config import reference
from ...errors import BadRequest
from ..common.console import print_json, print_lines
from ..common.running import ExitStatus
from ..options.config import ConfigCommand


def run_config(command: ConfigCommand) -> int:
    """Write the reference and return the exit status.

    Raises:
        BadRequest: there is no such table or key, or it was asked for in a form that has none.
        OutputClosed: nobody reads standard output any more.
    """
    names = command.names or []
    if names and (command.schema or command.markdown):
        raise BadRequest("--schema and --markdown write everything: name no table or key")
    if command.schema:
        print_json(reference.json_schema())
    else:
        text = reference.as_markdown() if command.markdown else reference.as_toml(names)
        print_lines(text.splitlines())
    return ExitStatus.DONE
