"""Where questions come from: the command line, standard input, a file of them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ...errors import BadRequest, EmptyQuestion

if TYPE_CHECKING:
    from ...engines.protocol import Message

#: The line between two questions of several lines each.
_BETWEEN = "---"
#: How the names of files with a JSON object a line end.
_JSON = (".jsonl", ".ndjson", ".json")
#: The fields of a JSON line that may hold the question, in the order in which they are looked for.
_FIELDS = ("question", "problem", "messages")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to race, and the right answer if it is known."""

    question: "str | tuple[Message, ...]"
    answer: str | None = None

    @property
    def text(self) -> str:
        """What is shown of it: the last turn of a conversation."""
        if isinstance(self.question, str):
            return self.question
        return str(self.question[-1].get("content") or "")


def read_question(argument: str | None) -> Asked:
    """The one question of a command: its argument, or standard input for ``-`` or none.

    Raises:
        BadRequest: there is none, or it is no text.
    """
    if argument is None and (sys.stdin is None or sys.stdin.isatty()):
        raise BadRequest('no question: pass it as an argument, as in frontrunner solve "…"')
    if argument is None or argument == "-":
        if sys.stdin is None:
            raise BadRequest("no question: standard input is closed")
        try:
            return _asked(sys.stdin.read().strip(), None)
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"standard input cannot be read as text: {error}") from error
    return _asked(argument.strip(), None)


def read_file(path: Path) -> list[Asked]:
    """The questions of a file: one a line; or each between lines of three dashes, if there is such
    a line; or a JSON object a line, if its name says that it is JSON.

    Raises:
        BadRequest: naming the file, and the line if it is about one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise BadRequest(f"cannot read {path} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"cannot read {path}: it is not UTF-8 text") from error
    is_json = path.suffix.lower() in _JSON
    read = _from_json if is_json else lambda text: _asked(text.strip(), None)
    questions: list[Asked] = []
    for number, text in _lines(lines) if is_json else _texts(lines):
        try:
            questions.append(read(text))
        except BadRequest as error:
            raise BadRequest(f"{path}, line {number}: {error}") from error
    if not questions:
        raise BadRequest(f"{path} holds no question")
    return questions


def _lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, by their numbers."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _texts(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The questions, by the number of their first line."""
    if all(line.strip() != _BETWEEN for line in lines):
        yield from _lines(lines)
        return
    block: list[tuple[int, str]] = []
    for number, line in (*enumerate(lines, 1), (0, _BETWEEN)):
        if line.strip() != _BETWEEN:
            block.append((number, line))
            continue
        if text := "\n".join(line for _, line in block).strip():
            yield next(_lines_of(block)), text
        block = []


def _lines_of(block: Sequence[tuple[int, str]]) -> Iterator[int]:
    return (number for number, line in block if line.strip())


def _from_json(line: str) -> Asked:
    try:
        data: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"not JSON: {error}") from error
    field = next((f for f in _FIELDS if isinstance(data, dict) and f in data), None)
    if field is None:
        raise BadRequest('an object with "question", "problem" or "messages" is expected')
    question, answer = data[field], data.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | None):
        raise BadRequest('"answer" must be a text or a number')
    # Of a solution, as GSM8K has them, its end.
    answer = None if answer is None else str(answer).rpartition("####")[2].strip()
    if field == "messages":
        return _conversation(question, answer)
    if not isinstance(question, str):
        raise BadRequest(f'"{field}" must be a text')
    return _asked(question.strip(), answer)


def _conversation(messages: Any, answer: str | None) -> Asked:
    problem = '"messages" must be a list of {"role": …, "content": …} with texts'
    if not isinstance(messages, list):
        raise BadRequest(problem)
    for message in messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise BadRequest(problem)
    if not any(message["content"].strip() for message in messages):
        raise EmptyQuestion
    return Asked(tuple(messages), answer)


def _asked(question: str, answer: str | None) -> Asked:
    if not question:
        raise EmptyQuestion
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise BadRequest("the question is not valid UTF-8 text") from error
    return Asked(question, answer)
