"""One self-contained HTML file: tables and plots, in light and in dark, and the command that they
come from. Nothing is fetched, so it can be mailed and opened from a disk."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any, Final

import orjson

from ..common.plotting import pyplot

#: Of a plot in inches.
_SIZE: Final = (9.0, 5.0)
#: Of text and of the grid, on a light ground and on a dark one: all that the two images differ in.
_ON_LIGHT: Final = ("#1a1a1a", "#d9d9d9")
_ON_DARK: Final = ("#e8e8e8", "#3a3a3a")
_DARK_OF: Final = {a.encode(): b.encode() for a, b in zip(_ON_LIGHT, _ON_DARK, strict=True)}
_STYLED: Final = re.compile(b"((?:fill|stroke): )(%s)" % b"|".join(_DARK_OF))
#: What can be told apart by who sees few colours (Okabe and Ito), and against either ground.
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D31",
    "#999999",
)
MARKS: Final = "osD^vP*X"
LINES: Final = ("-", "--", ":", "-.")

_STYLE: Final = """
:root { color-scheme: light dark;
  --ink: #1a1a1a; --soft: #5a5a5a; --rule: #d9d9d9; --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a8a8a8; --rule: #3a3a3a; --ground: #161616; }
}
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: var(--ink);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p, figcaption, caption { color: var(--soft); max-width: 60rem; text-align: start; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: end;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: start; }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom; }
small { color: var(--soft); }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--rule); border-radius: .4rem; }
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with what there is to say about it."""

    title: str
    caption: str
    light: bytes
    """An SVG image."""
    dark: bytes


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts; in a cell, what follows a line break is written small."""

    title: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says."""

    title: str
    summary: Sequence[str]
    """Whole sentences, in front of all else."""
    facts: Mapping[str, str]
    tables: Sequence[TextTable] = ()
    figures: Sequence[Figure] = ()
    data: Any = field(default=None, repr=False)
    """Goes into the file as JSON, for whoever reads it by a program."""


def draw(plot: Callable[[Any], None], title: str, caption: str) -> Figure:
    """Have ``plot`` draw on matplotlib's axes, for a light and for a dark ground.

    Raises:
        BadRequest: matplotlib is missing.
    """
    light = drawn(plot, title, *_ON_LIGHT)
    dark = _STYLED.sub(lambda found: found[1] + _DARK_OF[found[2]], light)
    return Figure(title, caption, light, dark)


def drawn(plot: Callable[[Any], None], title: str, ink: str, rule: str) -> bytes:
    """An SVG image of what ``plot`` draws, with these colours for text and lines and for the grid.

    Raises:
        BadRequest: matplotlib is missing.
    """
    plt = pyplot()
    style = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        **{"axes.edgecolor": ink, "grid.color": rule, "axes.grid": True, "axes.axisbelow": True},
        **{"legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": title},
        "text.parse_math": False,  # labels are texts, whatever is in them
        "axes.prop_cycle": plt.cycler(color=COLOURS),
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
        plot(axes)
        image = BytesIO()
        figure.savefig(image, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    return image.getvalue()


def line_style(number: int) -> dict[str, Any]:
    """How the ``number``-th line of a plot is drawn; 32 of them can be told apart."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKS[number % len(MARKS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
    }


def html(report: Report, command: str, version: str) -> str:
    """The report as one page.

    Args:
        command: that it comes from, as it is typed.
        version: of Frontrunner.
    """
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in report.facts.items()
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(report.title)}</h1>",
        *(f"<p>{escape(sentence)}</p>" for sentence in report.summary),
        f"<pre><code>{escape(command)}</code></pre>",
        f'<div class="wide"><table>{facts}</table></div>',
        *map(_table, report.tables),
        *map(_figure, report.figures),
        f"<p><small>Frontrunner {escape(version)}</small></p>",
    ]
    if report.data is not None:
        # In a script a text ends at the first "</", wherever that stands.
        data = orjson.dumps(report.data, option=orjson.OPT_NON_STR_KEYS).decode()
        safe = data.replace("<", "\\u003c")
        parts.append(f'<script type="application/json" id="data">{safe}</script>')
    return "\n".join(parts) + "\n"


def _table(table: TextTable) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return (
        f"<h2>{escape(table.title)}</h2><p>{escape(table.caption)}</p>"
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    first, _, rest = text.partition("\n")
    small = f"<br><small>{escape(rest)}</small>" if rest else ""
    return f"<td>{escape(first)}{small}</td>"


def _figure(figure: Figure) -> str:
    light, dark = (
        f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}"
        for image in (figure.light, figure.dark)
    )
    return (
        f"<h2>{escape(figure.title)}</h2><figure><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(figure.title)}"></picture>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )
