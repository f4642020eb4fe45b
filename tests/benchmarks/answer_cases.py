"""How many of a file of small inputs are read and compared as their authors mean them, by kind.

    .venv/bin/python tests/benchmarks/answer_cases.py FILE.jsonl [--wrong]

Each line of the file is one input: ``kind`` (what it is about), ``answers_kind`` (an
``[answers] kind``; ``boxed+pattern`` is ``boxed`` with the pattern of a shipped config), ``mode``,
``inputs`` and ``expected``. Modes: ``extract``, the answer found in a text, or null; ``settled``,
the answer of a text that still grows, or null; ``vote``, whether two answers are the ``same`` vote
or ``different``, asked in both orders; ``texts``, the same from two whole texts. ``debatable`` and
``documented`` mark inputs where readers may differ or the documentation says otherwise; they are
counted apart, and what was ``right_before`` and is wrong now is named.
"""

import argparse
import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from frontrunner.runtime.answers import Equivalence, Extractor, WorkerPool, make_extractor
from frontrunner.runtime.config import AnswerSettings

CONFIG = Path(__file__).parents[2] / "configs" / "qwen2.5-3b.toml"


def extractor_of(kind: str) -> Extractor:
    if kind == "boxed+pattern":
        pattern = tomllib.loads(CONFIG.read_text())["answers"]["pattern"]
        return make_extractor(AnswerSettings(kind="boxed", pattern=pattern))
    return make_extractor(AnswerSettings(kind=kind))


async def same(a: str | None, b: str | None, extractor: Extractor, by: Equivalence) -> bool:
    if a is None or b is None:
        return False
    if extractor.key is not None:
        return extractor.key(a) == extractor.key(b)
    return await by.same(a, b)


async def outcome(case: Mapping[str, Any], by: Equivalence) -> Any:
    """What is made of a case: an answer, None, ``same``, ``different`` or ``asymmetric``."""
    extractor, inputs = extractor_of(case["answers_kind"]), case["inputs"]
    match case["mode"]:
        case "extract":
            return extractor.find(inputs[0])
        case "settled":
            return extractor.settled(inputs[0])
        case "texts":
            inputs = [extractor.find(text) for text in inputs]
    there = await same(inputs[0], inputs[1], extractor, by)
    back = await same(inputs[1], inputs[0], extractor, by)
    if there is not back:
        return "asymmetric"
    return "same" if there else "different"


async def is_right(case: Mapping[str, Any], got: Any, by: Equivalence) -> bool:
    expected = case["expected"]
    if got == expected or case["mode"] in ("vote", "texts") or None in (got, expected):
        return got == expected
    # Another spelling of the right answer is right where spellings are compared.
    return await same(got, expected, extractor_of(case["answers_kind"]), by)


async def run(cases: Iterable[Mapping[str, Any]], show_wrong: bool) -> None:
    console = Console()
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    wrong: list[str] = []
    async with WorkerPool() as pool:
        await pool.warm_up()
        by = Equivalence(pool)
        for case in cases:
            got = await outcome(case, by)
            right = await is_right(case, got, by)
            exempt = bool(case.get("debatable") or case.get("documented"))
            row = counts[case["kind"]]
            row[2 * exempt] += right
            row[2 * exempt + 1] += 1
            row[4] += case["right_before"] and not right
            if not right:
                marks = ("exempt " if exempt else "") + ("lost " if case["right_before"] else "")
                wrong.append(
                    f"{case['kind'].split()[0]} {marks}{case['answers_kind']} {case['mode']} "
                    f"{json.dumps(case['inputs'], ensure_ascii=False)}: {got!r}, "
                    f"not {case['expected']!r}"
                )
    table = Table("kind", "right", "exempt, right", "right before, wrong now")
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    for kind, (right, of, exempt_right, exempt_of, lost) in counts.items():
        table.add_row(kind, f"{right}/{of}", f"{exempt_right}/{exempt_of}", str(lost or ""))
    console.print(table)
    right, of = counts["all"][:2]
    console.print(f"{right / of:.1%} of those that are neither debatable nor documented otherwise")
    if show_wrong:
        for line in wrong:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--wrong", action="store_true", help="show each that came out wrong")
    args = parser.parse_args()
    cases = [json.loads(line) for line in args.file.read_text().splitlines()]
    anyio.run(partial(run, cases, args.wrong))


if __name__ == "__main__":
    main()
