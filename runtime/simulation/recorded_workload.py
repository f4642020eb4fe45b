"""Recorded branches as what a simulated engine writes."""

from collections.abc import Callable, Sequence

from ..engines.protocol import Generation
from ..engines.workloads import CLOSING, PlannedOutput
from ..traces.recordings import RecordedQuestion


class RecordedWorkload:
    """Recorded branches: branch ``i`` of a race is the ``i``-th of its question's, in an order that
    the race's seed draws. Questions are told apart by their prompts.

    Args:
        questions: with ``question`` set.
        encode: gives the prompt of a question's text, as the engine encodes it.
    """

    def __init__(
        self,
        questions: Sequence[RecordedQuestion],
        encode: Callable[[str], tuple[int, ...]],
    ) -> None:
        self._questions = {encode(q.question or ""): q for q in questions}

    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        known = [p for p in self._questions if request.prompt[: len(p)] == p]
        if not known:
            return PlannedOutput(2, CLOSING.format(0))
        question = self._questions[max(known, key=len)]
        record = question.branches[request.branch % len(question.branches)]
        if request.forced:
            return PlannedOutput(2, f"{record.forced_answer(written) or '?'}}}")
        ending = "I do not know." if record.answer is None else CLOSING.format(record.answer)
        return PlannedOutput(record.tokens, ending)
