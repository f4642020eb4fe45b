"""A report as a file of a command's folder."""

import shlex
import sys
from pathlib import Path

from frontrunner import __version__

from ...experiments.html_report import Report, html


def write_report(report: Report, folder: Path) -> str:
    """Write ``report`` into ``folder``, with the command that this process runs.

    Returns:
        The file's name.

    Raises:
        OSError: it cannot be written.
    """
    command = shlex.join(["frontrunner", *sys.argv[1:]])
    (folder / "report.html").write_text(html(report, command, __version__), encoding="utf-8")
    return "report.html"
