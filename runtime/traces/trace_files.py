"""Reading recorded branches from files.

The formats that are read are told apart by what is in the file:

- Frontrunner's own traces (``recorder``): NDJSON, one race a line.
- Parallel-Probe's evaluation files (arXiv 2602.03845): a JSON list of questions, each branch
  ``[probes, length_tokens, final_answer]``, probed after every ``probe_freq`` tokens.
- Sets of scored responses (as in Qwen2.5-Math's reward model evaluation): NDJSON, one question a
  line with ``responses``, ``extracted``, ``correct`` and ``rewards``.
- Responses with their mean log probability (``trajectories``), responses with a process reward
  model's score (``records`` with ``traces``), and runs of agents with reward and seconds
  (``runs``).
- The plain form, for whatever else there is: NDJSON, one question a line with ``answers``,
  ``lengths``, and ``gold`` or ``right`` (``public_formats.PlainQuestion``).
- Forms of a user's own: their readers are registered with ``register_trace_reader``, offered by an
  installed package in the entry points ``frontrunner.trace_readers``, or named as
  ``package.module:function`` on the command line. They are asked about files of no other form, or
  where they are named.
"""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from frontrunner._plugins import Plugins, accept_callable
from frontrunner.strategies.protocol import ProbeAnswer

from ..answers import AnswerClusters, Equivalence
from ..errors import BadRequest
from .formats import EACH_ON_A_LINE, read_own, read_probed, read_scored
from .public_formats import read_agent_runs, read_plain, read_step_scored, read_trajectories
from .recordings import RecordedBranch, RecordedQuestion, TraceError

Reader = Callable[[Path, bytes], Iterator[RecordedQuestion]]
#: Of a user's own: takes a file's path and content; None: the file is of another form.
TraceReader = Callable[[Path, bytes], Iterable[RecordedQuestion] | None]


READER_PLUGINS: Final = Plugins[TraceReader](
    "trace reader",
    "frontrunner.trace_readers",
    (),
    accept_callable("a function that reads traces"),
)


def register_trace_reader(name: str, reader: TraceReader) -> None:
    """Have ``reader`` read recordings of a form of your own, in this process.

    Args:
        reader: takes the path of a file and its content as bytes; gives its ``RecordedQuestion``s,
            or None if the file is of another form. A ``ValueError`` says what is wrong with it.

    Raises:
        ValueError: if the name is taken.
        TypeError: if it cannot be called.
    """
    READER_PLUGINS.register(name, reader)


def trace_reader_names() -> tuple[str, ...]:
    """The names of all trace readers that were registered or that installed packages offer;
    nothing is imported."""
    return READER_PLUGINS.names()


def read_traces(paths: Iterable[Path], reader: str | None = None) -> list[RecordedQuestion]:
    """The recorded questions of files, answers as they were written (see ``unified``).

    Lines of Frontrunner's own traces about the same question are one question with all their
    branches.

    Args:
        reader: the name of a user's reader, which reads all of them. None: each file is told by
            what is in it.

    Raises:
        TraceError: a file cannot be read, is of no known format, or is broken at some place.
        BadRequest: there is no reader of that name, or it cannot be imported.
    """
    questions: list[RecordedQuestion] = []
    for path in paths:
        try:
            content = path.read_bytes().removeprefix(BOM_UTF8)
        except OSError as error:
            raise TraceError(path, f"cannot be read ({error.strerror})") from error
        questions += _read(path, content, reader)
    return _pooled(questions)


def _read(path: Path, content: bytes, name: str | None) -> Iterable[RecordedQuestion]:
    if name is not None:
        read = _read_own(name, path, content)
        if read is None:
            raise TraceError(path, f"is not of the form that the trace reader {name!r} reads")
        return read
    reader = _reader_of(path, content)
    if reader is not None:
        return reader(path, content)
    broken: list[str] = []
    for own in READER_PLUGINS.names():
        try:
            read = _read_own(own, path, content)
        except TraceError:
            raise
        except BadRequest as error:  # of a package that is broken: another may read it
            broken.append(str(error))
            continue
        if read is not None:
            return read
    if content.lstrip().startswith(b"[") and all(key in content for key in _KEYS[-1][0]):
        raise TraceError(path, f"is a list: {EACH_ON_A_LINE}")
    if b"\0" in content[:_BEGINNING]:
        raise TraceError(path, _NO_TEXT)
    raise TraceError(path, _UNKNOWN + "".join(f"; {error}" for error in broken))


def _read_own(name: str, path: Path, content: bytes) -> list[RecordedQuestion] | None:
    try:
        reader = READER_PLUGINS.find(name)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    try:
        read = reader(path, content)
        questions = None if read is None else list(read)
    except TraceError:
        raise
    except ValueError as error:
        raise TraceError(path, str(error)) from error
    except Exception as error:  # a user's function may raise anything
        told = f"the trace reader {name!r} failed: {type(error).__name__}: {error}"
        raise TraceError(path, told) from error
    for question in questions or ():
        _check(question, name, path)
    return questions


def _check(question: Any, name: str, path: Path) -> None:
    """What readers that are built in see to by themselves."""
    if not isinstance(question, RecordedQuestion):
        told = f"the trace reader {name!r} gave {question!r} in place of a RecordedQuestion"
        raise TraceError(path, told)
    if any(branch.tokens < 1 for branch in question.branches):
        told = f"the trace reader {name!r} gave a branch of less than one token"
        raise TraceError(path, told, question.name)


def agreed(question: RecordedQuestion) -> RecordedQuestion:
    """A question of which nobody knows what is right, with what most of its branches answered in
    the place of that (the earliest of equals): a strategy is then as accurate as it agrees with
    waiting for all of them. Others stay as they are."""
    votes = Counter(b.answer for b in question.branches if b.answer is not None and not b.truncated)
    if question.judged or not votes:
        return question
    return replace(question, right=frozenset({votes.most_common(1)[0][0]}))


async def unified(
    questions: Sequence[RecordedQuestion], equivalence: Equivalence
) -> list[RecordedQuestion]:
    """The same questions with answers that are votes: each is the representative of its class.

    Final answers are compared as in a live race; probes only by their canonical form, as there are
    very many of them, most of them from the middle of a calculation.
    """
    return [await _unify(question, equivalence) for question in questions]


async def _unify(question: RecordedQuestion, equivalence: Equivalence) -> RecordedQuestion:
    clusters = AnswerClusters(equivalence)
    votes: dict[str | None, str | None] = {None: None}  # as written -> as voted

    def by_form(answer: str | None) -> str | None:
        if answer is not None and answer not in votes:
            votes[answer] = clusters.assign_now(answer)
        return votes[answer]

    # The gold answer first: its class has its spelling.
    for answer in (question.gold, *(b.answer for b in question.branches)):
        if answer is not None and answer not in votes:
            votes[answer] = await clusters.assign(answer)
    gold = votes[question.gold]
    branches = tuple(
        replace(
            branch,
            answer=votes[branch.answer],
            probes=None
            if branch.probes is None
            else tuple(ProbeAnswer(p.tokens, by_form(p.answer)) for p in branch.probes),
        )
        for branch in question.branches
    )
    # A grader's verdicts, where there are any, know more than a comparison of two texts.
    judged = any(b.correct is not None for b in branches)
    right = {b.answer for b in branches if b.correct and b.answer is not None}
    if gold is not None and not (judged and _refuted(gold, branches)):
        right.add(gold)
    return replace(question, branches=branches, right=frozenset(right))


def _refuted(gold: str, branches: Sequence[RecordedBranch]) -> bool:
    return any(b.answer == gold and b.correct is False for b in branches)


_BEGINNING: Final = 65_536
#: What the beginning of a file of NDJSON holds, and how it is read; the first that fits.
_KEYS: Final[Sequence[tuple[tuple[bytes, ...], Reader]]] = (
    ((b'"frontrunner_trace"',), read_own),
    ((b'"responses"', b'"rewards"'), read_scored),
    ((b'"trajectories"',), read_trajectories),
    ((b'"records"', b'"traces"'), read_step_scored),
    ((b'"runs"', b'"reward"'), read_agent_runs),
    ((b'"answers"', b'"lengths"'), read_plain),
)


#: What a file of bytes is told.
_NO_TEXT: Final = (
    "is no text in UTF-8: unpack it if it is packed; a table is read by a trace reader of your own "
    "(docs/write-your-own.md)"
)
#: What a file of no known form is told.
_UNKNOWN: Final = (
    "of no known format: a trace of frontrunner solve --trace, a list of questions with "
    '"each_branch", lines with "responses" and "rewards", or with "answers" and "lengths" '
    "(docs/replay.md has them all) is expected"
)


def _reader_of(path: Path, content: bytes) -> Reader | None:
    """The reader that is built in for what is in the file; None: there is none."""
    content = content.lstrip()
    if not content:
        raise TraceError(path, "is empty")
    if content.startswith(b"["):
        known = b'"each_branch"' in content or content.rstrip() == b"[]"
        return read_probed if known else None
    if content.startswith(b"{"):
        # The first line, however long: texts may stand in front of what tells. An object that is
        # laid out over many lines tells in its beginning.
        line = content.split(b"\n", 1)[0]
        start = line if len(line) > _BEGINNING else content[:_BEGINNING]
        for keys, reader in _KEYS:
            if keys[0] in start and all(key in content for key in keys):
                return reader
    return None


def _pooled(questions: Iterable[RecordedQuestion]) -> list[RecordedQuestion]:
    """Races on the same question as one question."""
    pooled: dict[object, RecordedQuestion] = {}
    for number, question in enumerate(questions):
        own = question.question is not None and question.gold is not None
        key = (question.question, question.gold) if own else number
        known = pooled.get(key)
        pooled[key] = (
            question
            if known is None
            else replace(
                known,
                branches=known.branches + question.branches,
                left_out=known.left_out + question.left_out,
            )
        )
    return list(pooled.values())
