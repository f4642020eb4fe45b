"""An extractor of your own: the answer is the last verdict in the text.

``[answers] kind = "examples.own_extractor:verdict"`` in the config uses it.
"""

import re

from frontrunner.testing import BranchScript, run_race


def verdict(text: str) -> str | None:
    """The last ``Verdict: …`` in a text, or what a forced answer says in its place."""
    found = re.findall(r"(?:Verdict: |final answer is \\boxed\{)(guilty|innocent)", text)
    return found[-1] if found else None


def main() -> None:
    script = [
        BranchScript.answering(answer, seconds=seconds, closing="Verdict: {answer}.")
        for answer, seconds in [("guilty", 1.0), ("innocent", 2.0), ("innocent", 3.0)]
    ]
    answers = {"kind": "examples.own_extractor:verdict"}
    result = run_race(script, settings={"answers": answers}, deadline=10.0)
    print(f"{result.answer} with {result.votes} after {result.elapsed:.1f} s")


if __name__ == "__main__":
    main()
