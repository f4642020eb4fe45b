"""A report as a file of a command's folder."""

import shlex
import sys
from pathlib import Path

from frontrunner import __version__

from ...common.whole_files import write_whole
from ...experiments.html_report import Report, html


def write_report(report: Report, folder: Path) -> str:
    """Write ``report`` into ``folder``, with the command that this process runs.

    Returns:
        The file's name.

    Raises:
        BadRequest: it cannot be written.
    """
    command = shlex.join(["frontrunner", *sys.argv[1:]])
    write_whole(folder / "report.html", html(report, command, __version__))
    return "report.html"
