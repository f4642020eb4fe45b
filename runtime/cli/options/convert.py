"""The options and help texts of ``frontrunner convert``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Reader

HELP = (
    "Write recorded branches in the plain form.\n\nReads whatever frontrunner replay reads, and "
    "writes a line of JSON for each question: lists of answers, lengths, and what is right. Equal "
    "answers are spelled alike, so that votes can be counted by text."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner convert races.ndjson --out plain.jsonl[/cyan]

[cyan]frontrunner convert math_rm8.jsonl | jq -c .answers[/cyan]

[cyan]frontrunner convert mine.csv --reader my_package.files:rows[/cyan]   a form of your own

[cyan]frontrunner replay plain.jsonl --branches 8[/cyan]   reads it again


[bold]The plain form[/bold]

{"question": "6 times 7?", "gold": "42", "answers": ["42", "48", null], "lengths": [120, 310, 512]}

Of answers, lengths, right, scores, seconds, logprobs and truncated each is a list with a value \
for each branch; answers and lengths are needed, and gold or right. Lengths are in tokens.


[bold]Exit status[/bold]

0 done; 2 the input must change; 130 ended by Ctrl-C, and no half file is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertCommand:
    """What ``convert`` was asked to do."""

    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACES…", help="Files with recorded branches.")
    ]
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Without it, standard output."),
    ] = None
    reader: Reader = None
