"""Whether there is what a strategy needs of an engine and a reward model."""

from frontrunner.strategies.protocol import Needs, Strategy, needs_of

from ..answers import Extractor
from ..engines.protocol import EngineInfo
from ..errors import BadRequest
from ..rewards import RewardModel
from ..rewards.protocol import SupportsComparison

#: Log probabilities of a token that engines give at most.
_MAX_LOGPROBS = 20


def checked_needs(
    name: str,
    strategy: Strategy,
    answers: Extractor,
    engine: EngineInfo,
    rewards: RewardModel | None,
) -> Needs:
    """What the strategy of this ``name`` needs, all of which there is.

    Raises:
        BadRequest: something is missing; it says what to do.
    """
    needs = needs_of(strategy)
    if needs.rewards and rewards is None:
        raise BadRequest(
            f"{name} needs a reward model: set [rewards] in the config, or pass one to Runtime"
        )
    if needs.rewards and answers.voted and isinstance(rewards, SupportsComparison):
        raise BadRequest(
            f"{name} scores each branch by itself, and a judge only compares replies: ask for "
            'answers of kind "text", take a strategy that needs no scores (majority), or '
            "another [rewards] kind (verifier)"
        )
    if needs.continues and not engine.continues:
        raise BadRequest(
            f"{name} makes branches go on from what they have written, which agents cannot: "
            "take a strategy that lets them end by themselves (majority, best_of_n, "
            "first_to_m, single)",
            "strategy",
        )
    if needs.logprobs > _MAX_LOGPROBS:
        raise BadRequest(
            f"{name}: logprobs must be at most {_MAX_LOGPROBS}, which is what engines keep of "
            f"a token, not {needs.logprobs}",
            "parameters.logprobs",
        )
    if (needs.logprobs or needs.likelihoods) and not engine.logprobs:
        raise BadRequest(
            f"{name} needs log probabilities, which this engine does not give, or (with "
            "speculation) not the right ones"
        )
    return needs
