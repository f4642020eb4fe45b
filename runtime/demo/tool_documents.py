"""Training documents in which a calculator is offered: one call, its result, the answer.

What the chat template of ``tokenizer.TOOL_TEMPLATE`` renders for such a conversation::

    <|begin|>Tools: calculator(expression)
    <|user|>Mia has 12 apples. …<|assistant|>[calculator(expression="12
    1. + 5 * 3
    2. / 9")]<|end|><|user|>Result: 3<|assistant|>The answer is \\boxed{3}.<|end|>

The steps bear the problem's numbers, by which the model finds its place, as in a solution without
tools; what is in between the calculator works out. Where other tools alone are offered the problem
is solved as without any.
"""

import random
from collections.abc import Sequence
from typing import Final

from ..agents.calculator import calculate
from ..agents.tools import ToolError
from . import templates
from .problems import LEVELS, Problem, Step, draw_problem
from .tokenizer import ASSISTANT, BOS, END, USER

#: A piece of a document, and whether its tokens count in the loss.
Part = tuple[str, bool]

CALCULATOR: Final = "calculator(expression)"
#: Others that may be offered.
OTHERS: Final = (
    "weather(city)", "search(query)", "price(item, pieces)", "book(room)", "send(to, text)",
    "today()", "translate(text, language)", "stock(name)", "route(start, end)", "note(text)",
)  # fmt: skip
_SYMBOL: Final = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
#: Shares, of documents with tools: those with others alone, with others beside the calculator, and
#: cut and forced ones.
_OTHERS_ALONE, _BESIDE, _CUT = 0.05, 0.2, 0.05
#: Share of calls before which one is refused.
_REFUSED: Final = 0.02


def offer_text(tools: Sequence[str]) -> str:
    """What the chat template says of tools that are offered."""
    return f"Tools: {'; '.join(tools)}\n"


def call_text(expression: str) -> str:
    return f'[calculator(expression="{expression}")]'


def result_text(result: str) -> str:
    """What the chat template puts between a call and what follows."""
    return f"{USER}Result: {result}{ASSISTANT}"


def operation_text(step: Step) -> str:
    """What a step does, behind the quantity before it."""
    match step.operation:
        case "pack_in":
            return f" + {step.groups} * {step.size}"
        case "pack_out":
            return f" - {step.groups} * {step.size}"
        case operation:
            return f" {_SYMBOL[operation]} {step.amount}"


def write_expression(problem: Problem) -> str:
    """The problem's arithmetic as steps that ``calculate`` knows."""
    steps = enumerate(problem.steps, start=1)
    return "\n".join([str(problem.start), *(f"{n}.{operation_text(step)}" for n, step in steps)])


def _worked(problem: Problem, rng: random.Random) -> list[Part]:
    parts: list[Part] = []
    expression = write_expression(problem)
    if rng.random() < _REFUSED:
        # It learns what to do about an error, and not to make one.
        broken = _broken(expression, rng)
        parts += [(call_text(broken) + END, False), (result_text(_result(broken)), False)]
    parts += [(call_text(expression) + END, True), (result_text(_result(expression)), False)]
    return [*parts, (templates.ANSWER.format(answer=problem.answer) + END, True)]


def _result(expression: str) -> str:
    """What a branch is told."""
    try:
        return calculate(expression)
    except ToolError as error:
        return f"Error: {error}"


def _broken(expression: str, rng: random.Random) -> str:
    at = rng.choice([i for i, character in enumerate(expression) if character in "+-*/"])
    return expression[:at] + expression[at + 1 :].lstrip()


def _cut(parts: Sequence[Part], problem: Problem, rng: random.Random) -> list[Part]:
    """Cut anywhere in what the model says, and the answer that a forced guess should give."""
    turn = rng.choice([i for i, (_, counted) in enumerate(parts) if counted])
    said = parts[turn][0].removesuffix(END)
    kept = [(text, False) for text, _ in parts[:turn]]
    kept += [(said[: rng.randrange(len(said))], False), (templates.FORCING_SUFFIX, False)]
    return [*kept, (f"{problem.answer}}}." + END, True)]


def draw_tool_parts(rng: random.Random, plain: Sequence[Part]) -> list[Part]:
    """A document with tools.

    Args:
        plain: a document without; where no calculator is offered it is the same with the offer.
    """
    kind = rng.random()
    if kind < _OTHERS_ALONE and plain[0][0].startswith(BOS + USER):
        offer = offer_text(rng.sample(OTHERS, rng.randint(1, 3)))
        first = BOS + offer + plain[0][0].removeprefix(BOS)
        return [(first, False), *plain[1:]]
    tools = [CALCULATOR]
    if rng.random() < _BESIDE:
        tools += rng.sample(OTHERS, rng.randint(1, 2))
        rng.shuffle(tools)
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    prompt = f"{BOS}{offer_text(tools)}{USER}{problem.question}{ASSISTANT}"
    parts = _worked(problem, rng)
    if rng.random() < _CUT:
        parts = _cut(parts, problem, rng)
    return [(prompt, False), *parts]
