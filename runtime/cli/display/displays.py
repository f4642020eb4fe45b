"""Ways to show races where nobody looks on: lines of text, lines of JSON, or the bare answer.

The live view is in ``live_display``: what it draws with takes a while to import.
"""

from ...errors import BadRequest
from ...events.types import Event, RaceDecided
from ..common.command_races import Display, Outcome
from ..common.output import Output
from ..common.printable import one_line
from ..common.questions import Asked
from ..common.running import complain
from .ndjson import event_line, json_line
from .texts import facts


class NdjsonDisplay(Display):
    """Every event as a line of JSON; the last one of a race has its ``result``."""

    def __init__(self, output: Output, *, several: bool) -> None:
        self._output = output
        self._several = several  # lines say which question they are about

    async def happened(self, index: int, event: Event) -> None:
        if not isinstance(event, RaceDecided):  # which `decided` writes, with what it knows besides
            await self._output.write(event_line(event, **self._of(index)))

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        more: dict[str, object] = self._of(outcome.index)
        if outcome.asked.answer is not None:
            more |= {"expected": outcome.asked.answer, "correct": outcome.correct}
        await self._output.write(event_line(event, **more))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        line = {"event": "question_refused", **self._of(index), "error": str(error)}
        await self._output.write(json_line(line))

    def _of(self, index: int) -> dict[str, object]:
        return {"question": index} if self._several else {}


class AnswerDisplay(Display):
    """The answers alone, one a line; an empty line where there is none."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        await self._output.line(one_line(outcome.result.answer or ""))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        await self._output.line()


class PlainDisplay(Display):
    """Lines of text for a pipe or a file: what came out of one race, or a line for each."""

    def __init__(self, output: Output, total: int) -> None:
        self._output = output
        self._total = total

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        if self._total > 1:
            parts = summary_parts(outcome, self._total)
            await self._output.line("".join(text for text, _ in parts))
            return
        for name, value in facts(outcome.result):
            await self._output.line(f"{name:<11}{value}")

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        if self._total > 1:
            complain(f"question {index + 1}: {error}")


def summary_parts(outcome: Outcome, total: int) -> list[tuple[str, str]]:
    """One race of several in one line: pieces of text, each with its style."""
    result = outcome.result
    parts = [(f"{outcome.index + 1:>{len(str(total))}}/{total} ", "bright_black")]
    if outcome.correct is not None:
        parts.append(("✓ ", "green") if outcome.correct else ("✗ ", "red"))
    parts.append((one_line(result.answer) if result.answer is not None else "no answer", "bold"))
    if outcome.correct is False and outcome.asked.answer is not None:
        parts.append((f" (right: {one_line(outcome.asked.answer)})", ""))
    parts.append((f"  {result.stop_reason.replace('_', ' ')}", ""))
    parts.append((f"  {result.elapsed:.2f} s of {result.deadline:g} s", ""))
    if not outcome.in_time:
        parts.append((" late", "red"))
    parts += [(f"  {note.code.replace('_', ' ')}", "yellow") for note in result.notes]
    return parts


def closing_line(outcomes: list[Outcome], total: int) -> str:
    """All races of a command in one line."""
    answered = sum(o.result.answer is not None for o in outcomes)
    said = [
        f"{total} questions",
        f"{answered} answered",
        f"{sum(o.in_time for o in outcomes)} in time",
    ]
    judged = [o for o in outcomes if o.correct is not None]
    if judged:
        right = sum(o.correct is True for o in judged)
        said.append(f"{right} of {len(judged)} right ({right / len(judged):.0%})")
    saved = sum(o.result.tokens_saved for o in outcomes)
    said.append(f"{sum(o.result.elapsed for o in outcomes):.1f} s, about {saved:,} tokens saved")
    return ", ".join(said)
