"""A generative verifier: the main engine is asked whether a solution is right.

The score is the probability of "yes" against "no" at the first token of its answer (generative
verifiers, Zhang et al., arXiv 2408.15240, equation 5, normalised over the two words). Engines that
cannot tell log probabilities answer ``samples`` times, and the score is the share of "yes".
"""

from collections.abc import Sequence
from math import exp

import anyio
import structlog

from ..config import VerifierRewards
from ..engines.protocol import Engine
from ..errors import EngineError
from .asking import Questions, asking
from .inputs import Template
from .protocol import Scoring

_log = structlog.get_logger("frontrunner.rewards")

#: What is put to the main model where the settings say nothing.
QUESTION = (
    "Here is a problem and a solution of it.\n\nProblem:\n{question}\n\nSolution:\n{text}\n\n"
    "Check the solution step by step in your mind. Is it right so far, and is its final answer "
    "right if it has one? Answer with one word, {yes} or {no}."
)


class VerifierReward:
    """A ``RewardModel`` that asks the engine on which the branches run."""

    def __init__(self, settings: VerifierRewards, engine: Engine) -> None:
        """
        Args:
            settings: of kind ``verifier``. Its template is a user's turn.
            engine: started and closed by others.
        """
        self._engine = engine
        self._settings = settings
        asked = settings.template or QUESTION.replace("{yes}", settings.yes).replace(
            "{no}", settings.no
        )
        self._template = Template.parse(asked)
        self._yes, self._no = _word(settings.yes), _word(settings.no)

    async def start(self) -> None:
        """The engine is started by its owner."""

    async def aclose(self) -> None:
        """The engine is closed by its owner."""

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        scores: list[float | None] = [None] * len(items)
        if not items:
            return scores

        async def run(index: int, item: Scoring) -> None:
            try:
                with anyio.move_on_after(self._settings.timeout):
                    scores[index] = await self._judge(item, questions)
            except Exception as error:  # noqa: BLE001 - a text too long, an engine that is gone
                _log.warning("frontrunner.score_failed", error=str(error) or type(error).__name__)

        async with (
            asking(self._engine, items[0].budget, "verifier") as questions,
            anyio.create_task_group() as tasks,
        ):
            for index, item in enumerate(items):
                tasks.start_soon(run, index, item)
        return scores

    async def _judge(self, item: Scoring, questions: Questions) -> float | None:
        asked = self._template.fill(item.question, item.text)
        prompt = self._engine.encode_chat([{"role": "user", "content": asked}])
        top = await questions.likeliest(prompt)
        return self._probability(top) if top is not None else await self._share(prompt, questions)

    def _probability(self, top: Sequence[tuple[str, float]]) -> float | None:
        """P(yes) / (P(yes) + P(no)) over all spellings; None if the model says neither."""
        yes = sum(exp(p) for token, p in top if _begins(token, self._yes, self._no))
        no = sum(exp(p) for token, p in top if _begins(token, self._no, self._yes))
        return yes / (yes + no) if yes + no > 0 else None

    async def _share(self, prompt: tuple[int, ...], questions: Questions) -> float | None:
        """The share of "yes" among the samples that say one of the words; None if none does."""
        verdicts: list[bool] = []

        async def ask(sample: int) -> None:
            try:
                text = await questions.answer(
                    prompt, self._settings.max_tokens, temperature=1.0, seed=sample
                )
            except EngineError as error:
                _log.warning("frontrunner.verdict_lost", error=str(error))
                return
            verdict = self._verdict(text)
            if verdict is not None:
                verdicts.append(verdict)

        async with anyio.create_task_group() as tasks:
            for sample in range(self._settings.samples):
                tasks.start_soon(ask, sample)
        return sum(verdicts) / len(verdicts) if verdicts else None

    def _verdict(self, text: str) -> bool | None:
        """Which of the two words comes first; None: neither."""
        for word in text.split():
            said = _word(word)
            if said in (self._yes, self._no):
                return said == self._yes
        return None


def _word(text: str) -> str:
    """The word without case, blanks and what models put around it."""
    return text.strip().strip("*_\"'`.,:;!?()[]").lower()


def _begins(token: str, word: str, other: str) -> bool:
    """Whether a token begins ``word`` and cannot begin ``other``."""
    said = _word(token)
    return bool(said) and word.startswith(said) and not other.startswith(said)
