"""Races of a model that thinks before it replies: what is read of their branches, and how those
that are cut inside their thinking are made to answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..config import ThinkingSettings
from ..engines.protocol import Engine
from ..errors import BadRequest, PromptTooLong
from ..prompts.thinking_model import ThinkingModel
from ..racing.spec import RaceSpec
from ..thinking import ThinkingFormat

#: The budget that is none, as vLLM has it.
_ANY_NUMBER: Final = -1
#: Strategies that take the end of a thinking off a text, by the parameter that says what that is.
_END_PARAMETERS: Final = {"budget_forcing": "before"}


class ThinkingRaces:
    """Applies ``[thinking]`` to races; one for a runtime."""

    def __init__(self, settings: ThinkingSettings, engine: Engine) -> None:
        """
        Args:
            engine: need not be started yet.
        """
        self._settings = settings
        self._engine = engine
        self.model = ThinkingModel(settings, engine)

    def apply(self, spec: RaceSpec, budget: int | None = None) -> RaceSpec:
        """``spec``, for a model that thinks as the settings say; the same where nothing is known of
        that.

        Args:
            budget: the most tokens that a branch may think, in place of the settings'; -1: any
                number.

        Raises:
            BadRequest: nobody can keep the budget.
            PromptTooLong: it leaves no room for closing a thinking.
        """
        form = self.model.form_after(spec.prompt)
        self._check_budget(budget, known=form is not None)
        if form is None:
            return spec
        answers = self.model.reader(spec.answers, form)
        forcing, longest = spec.forcing, 0
        if forcing.suffix:
            forcing = replace(forcing, thinking=form, encode=self.model.encode)
            # All forms that a cut at no mark can take. A remote tokenizer is asked for them before
            # the first one is due.
            forms = [forcing.after(text).token_ids for text in _cuts(form)]
            ids = max((*forms, forcing.suffix_ids), key=len)
            longest = len(ids)
            forcing = replace(forcing, suffix_ids=ids)
        room = self._engine.info.max_context_tokens - len(spec.prompt)
        room -= longest + forcing.max_tokens
        if room < 1:
            raise PromptTooLong(len(spec.prompt), self._engine.info.max_context_tokens)
        sampling = replace(
            spec.sampling,
            special_tokens=self._settings.special_tokens,
            thinking_tokens=_tokens(self._settings.token_budget if budget is None else budget),
        )
        return replace(
            spec,
            sampling=sampling,
            max_tokens=min(spec.max_tokens, room),
            forcing=forcing,
            answers=answers,
            forced_answers=spec.answers,
            thinking=form,
        )

    def _check_budget(self, budget: int | None, *, known: bool) -> None:
        if budget is None or budget == _ANY_NUMBER:
            return
        if budget < 0:
            fault = f"a number of tokens is expected, or -1 for any, not {budget}"
        elif not known:
            fault = (
                "it is not known how this model marks its thinking: set thinking.start and "
                "thinking.end, thinking.parser, or engine.family"
            )
        elif not self._engine.info.thinking_budgets:
            fault = (
                "the engine keeps no budgets: set thinking.token_budget, which starts one that "
                "does; a vLLM server needs --reasoning-config"
            )
        else:
            return
        raise BadRequest(f"thinking_token_budget: {fault}", "thinking_token_budget")

    def parameters(self, strategy: str) -> Mapping[str, Any]:
        """Parameters of a strategy that the model's marks decide where nobody else does."""
        form = self.model.form
        if form is None or strategy not in _END_PARAMETERS:
            return {}
        return {_END_PARAMETERS[strategy]: form.end}


def _tokens(budget: int | None) -> int | None:
    return None if budget == _ANY_NUMBER else budget


def _cuts(form: ThinkingFormat) -> tuple[str, ...]:
    """Texts that stand for where a branch may be cut: before, inside and behind its thinking."""
    if form.channels:
        return ("", "<|channel|>analysis<|message|>.", "<|channel|>final<|message|>.")
    return ("", f"{form.start}.", f"{form.start}.{form.end}.")
