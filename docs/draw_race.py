"""Draws ``docs/race.svg`` from ``docs/race.ndjson``, a race of the embedded model on two cores.

It was recorded by ``frontrunner solve --branches 12 --deadline 5 --seed 3 --trace``; of each branch
its times and its answer are kept. Run it with ``python docs/draw_race.py``.
"""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 760, 74, 40, 46, 20
_STYLE: Final = """
text{font:12px system-ui,sans-serif;fill:#24292f}.card{fill:#fff;stroke:#d0d7de}
.won{fill:#0d7d6c}.other{fill:#b45309}.cut{fill:#c4cad1}.line{stroke:#57606a}
.late{stroke:#b42318;stroke-dasharray:4 3}.vote{font-weight:600}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.card{fill:#151b23;stroke:#3d444d}
.won{fill:#2bb8a3}.other{fill:#e0913d}.cut{fill:#4a525c}.line{stroke:#9198a1}.late{stroke:#ff7b72}}
"""


def draw(race: dict[str, Any]) -> str:
    """An SVG picture: a bar a branch on a time axis, its answer at its end, the moment in which the
    race was decided, and the deadline."""
    deadline, decided = race["deadline"], race["elapsed"]
    branches = race["branches"]
    scale = (_WIDTH - _LEFT - _RIGHT) / deadline
    bottom = _TOP + len(branches) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 46}">',
        f"<title>{race['title']}</title><style>{_STYLE.strip()}</style>",
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{bottom + 45}" rx="8"/>',
    ]
    for row, branch in enumerate(branches):
        y = _TOP + row * _ROW
        start, end = _LEFT + branch["start"] * scale, _LEFT + branch["seconds"] * scale
        answer = branch["answer"]
        kind = "cut" if answer is None else "won" if answer == race["answer"] else "other"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{row + 1}</text>')
        parts.append(_bar(kind, start, y, end - start))
        if answer is not None:
            parts.append(f'<text class="vote" x="{end + 6:.0f}" y="{y + 11}">{answer}</text>')
    for moment, kind, told in (
        (decided, "line", f"{race['answer']}: decided after {decided:.1f} s"),
        (deadline, "late", f"deadline, {deadline:g} s"),
    ):
        x = _LEFT + moment * scale
        anchor = "end" if kind == "late" else "start"
        parts.append(f'<path class="{kind}" d="M{x:.0f} {_TOP - 10}V{bottom + 4}"/>')
        parts.append(f'<text x="{x:.0f}" y="{_TOP - 18}" text-anchor="{anchor}">{told}</text>')
    for second in range(int(deadline) + 1):
        x = _LEFT + second * scale
        parts.append(f'<text x="{x:.0f}" y="{bottom + 20}" text-anchor="middle">{second} s</text>')
    parts.append(f'<text x="{_LEFT}" y="{bottom + 37}">{_legend(branches)}</text></svg>')
    return "\n".join(parts) + "\n"


def _bar(kind: str, x: float, y: int, width: float) -> str:
    return f'<rect class="{kind}" x="{x:.0f}" y="{y}" width="{width:.0f}" height="14" rx="3"/>'


def _legend(branches: list[dict[str, Any]]) -> str:
    voted = sum(branch["answer"] is not None for branch in branches)
    return (
        f"{len(branches)} branches: {voted} finished and voted, {len(branches) - voted} cancelled"
    )


def picture() -> str:
    """The picture of the race that was recorded."""
    return draw(json.loads((FOLDER / "race.ndjson").read_text(encoding="utf-8")))


if __name__ == "__main__":
    (FOLDER / "race.svg").write_text(picture(), encoding="utf-8")
