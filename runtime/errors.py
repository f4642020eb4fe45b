"""Errors.

::

    FrontrunnerError
    ├── BadRequest               the caller's input; nobody else is affected
    │   ├── EmptyQuestion
    │   ├── PromptTooLong
    │   ├── BadDeadline          not a positive, finite number of seconds
    │   ├── DeadlineTooShort     not enough for one engine step
    │   └── BadBranches          fewer than one, or more than the engine can run
    ├── NotInTime                a deadline passed before there was anything to reply with
    ├── Overloaded               no branches in time; try again after ``retry_after`` seconds
    ├── ConfigError              a setting, named by its path in the file
    └── EngineError
        ├── EngineStartError     vLLM missing, model path missing, out of memory, …
        ├── EngineClosed         used before start or after close
        ├── EngineDead           the engine's process died
        └── EngineRestarting     it did, or it hung, and is started again

The error model:

1. What the caller got wrong is raised before anything starts, and says what to do; likewise that
   the engine has no room for the race.
2. Once a race runs, nothing is raised: a branch's error is a lost vote, a dead engine ends the race
   with the best answer known and a stop reason.
3. Errors of libraries are translated once, where they enter (the engine's own module).
"""

#: Seconds. Far more than anybody waits; engines keep it in milliseconds, in 64 bits.
MAX_DEADLINE = 366 * 24 * 3600


class FrontrunnerError(Exception):
    """Base of all errors raised on purpose."""


class BadRequest(FrontrunnerError):
    """The request cannot be run as it is; the message says what to change, and ``param`` names the
    parameter, where it is one alone."""

    def __init__(self, message: str, param: str | None = None) -> None:
        self.param = param
        super().__init__(message)


class EmptyQuestion(BadRequest):
    """The question holds no text."""

    def __init__(self) -> None:
        super().__init__("the question is empty: pass some text or a list of chat messages")


class PromptTooLong(BadRequest):
    """The prompt leaves no room for an answer in the model's context."""

    def __init__(self, tokens: int, context: int, *, at_least: bool = False) -> None:
        self.tokens, self.context = tokens, context
        super().__init__(
            f"the prompt has {'at least ' if at_least else ''}{tokens} tokens, and the model's "
            f"context of {context} leaves no room for an answer: shorten the question or use a "
            "model with a longer context"
        )


class BadDeadline(BadRequest):
    """The deadline is not a positive number of seconds, or beyond all measure."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        super().__init__(
            f"the deadline must be a positive number of seconds, at most {MAX_DEADLINE:,} (a "
            f"year), not {deadline:g}",
            "deadline",
        )


class DeadlineTooShort(BadRequest):
    """The deadline leaves no time for a single engine step."""

    def __init__(self, deadline: float, needed: float, rests_on: str = "") -> None:
        self.deadline, self.needed = deadline, needed
        super().__init__(
            f"a deadline of {deadline:g} s is too short: this engine needs about {needed:.2g} s "
            f"for the shortest possible answer{f' ({rests_on})' if rests_on else ''}",
            "deadline",
        )


class BadBranches(BadRequest):
    """The number of branches is out of range."""

    def __init__(self, branches: int, limit: int) -> None:
        self.branches, self.limit = branches, limit
        super().__init__(
            f"branches must lie between 1 and {limit}, not {branches}"
            + (" (the engine runs no more at once: engine.max_branches)" if branches > 1 else ""),
            "branches",
        )


class Overloaded(FrontrunnerError):
    """The engine is too busy to begin the race in time; nothing was started.

    ``retry_after`` (seconds) is when branches are expected to be free, as far as that is known.
    """

    def __init__(self, why: str, retry_after: float) -> None:
        self.why, self.retry_after = why, retry_after
        super().__init__(
            f"the engine is busy: {why}; try again in {retry_after:.2g} s, or with fewer "
            "min_branches or a later deadline"
        )


class NotInTime(FrontrunnerError):
    """The deadline passed, and there is nothing to reply with: log probabilities, which come whole
    or not at all. A race always has something."""


class ConfigError(FrontrunnerError):
    """A setting is wrong; ``path`` names it as in the file (``engine.speculation.tokens``).

    Where several are, ``others`` has the further ones, and the message all of them, a line each;
    ``each`` has those lines.
    """

    def __init__(
        self,
        path: str,
        problem: str,
        source: str | None = None,
        others: "tuple[ConfigError, ...]" = (),
    ) -> None:
        self.path, self.problem, self.source, self.others = path, problem, source, others
        place = f"{source}: " if source else ""
        if source and source.split()[-1] == path:  # --set server.port
            path = ""
        said = f"{place}{path}: {problem}" if path else f"{place}{problem}"
        self.each: tuple[str, ...] = (said, *(text for other in others for text in other.each))
        super().__init__("\n".join(self.each))


class EngineError(FrontrunnerError):
    """The engine could not do its part."""

    at_fault: bool = True
    """Whether it is the engine's failure; else it is the request's, which no other would take."""


class EngineStartError(EngineError):
    """The engine did not start; the message says why and what to do."""


class EngineClosed(EngineError):
    """The engine was used before it was started or after it was closed."""


class EngineDead(EngineError):
    """The engine's process died; its requests are lost."""


class EngineRestarting(EngineError):
    """The engine died or hung, and is being started again; nothing was started on it.

    ``retry_after`` (seconds) is when it is expected to be back.
    """

    def __init__(self, why: str, retry_after: float) -> None:
        self.why, self.retry_after = why, retry_after
        super().__init__(f"{why}, and is started again: try again in {retry_after:.2g} s")
