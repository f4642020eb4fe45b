"""Models that think, with their own tokenizers: wherever a branch is cut, what continues it is
exact and closes its thinking, and nothing of that, no mark and no broken character, is content."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.backends import run_virtual
from tests.profiles import examples

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.model_files.families import families, family_of, fill_in
from frontrunner.runtime.model_files.inspection import inspect
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime

from .texts import TEXT, turned
from .tokenized_engine import BROKEN, TokenizedEngine, encode

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

BRANCHES = 250
#: The family whose marks a tokenizer is tried with; DeepSeek-V3's spells those of R1.
PRESETS = {"qwen3": "qwen3", "deepseek-v3": "deepseek-r1", "gpt-oss": "gpt-oss"}
MARKS = ("<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>")
SUFFIX = "The answer is \\boxed{"
#: Only in the thinking, and only in the reply.
THOUGHT, SAID = "\nΩmega \\boxed{13}? ", "\n\nSô é: "
FINAL = "<|channel|>final<|message|>"


def plain(start: int) -> str:
    """Text of several scripts, without marks and boxes."""
    text = turned(start)
    for mark in (*MARKS, "\\boxed", "boxed"):
        text = text.replace(mark, "")
    return text[:300]


def thinking_text(family: str, start: int) -> str:
    thought, said = THOUGHT + plain(start), SAID + plain(start + 100)
    if family == "gpt-oss":
        return f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant{FINAL}{said}"
    return f"<think>{thought}</think>{said}"


def settings(family: str) -> Settings:
    asked = Settings.from_dict(
        {
            "answers": {"workers": 0},
            "forcing": {"suffix": f"\n\n{SUFFIX}"},
            "prompt": {"instruction": ""},
            "engine": {"max_branches": BRANCHES},
        }
    )
    return fill_in(asked, families()[PRESETS[family]])


def cut_race(
    tokenizer: Any, family: str, texts: Sequence[Sequence[int]], name: str = "race"
) -> tuple[TokenizedEngine, Result]:
    """A race of branches that write these texts, each at its own speed, until its deadline."""
    answer = encode(tokenizer, "7}")

    def write(request: Generation) -> Sequence[int]:
        return answer if request.forced else texts[request.branch]

    def pause(request: Generation, rng: Random) -> float:
        return 0.0 if request.forced else rng.uniform(0.05, 2.0)

    async def race() -> tuple[TokenizedEngine, Result]:
        engine = TokenizedEngine(tokenizer, write, pauses=pause)
        async with Runtime(engine, settings(family)) as runtime:
            branches = len(texts)
            # The name is the seed of the pauses.
            asked = runtime.solve("How many?", deadline=30.0, branches=branches, race_id=name)
            return engine, await asked

    return run_virtual(race)


def test_a_cut_thinking_is_closed_exactly(family: str, tokenizer: Any) -> None:
    if family not in PRESETS:
        pytest.skip("its models do not think")
    cuts = inside = 0
    rounds = max(1, examples(2_000) // BRANCHES)
    for number in range(rounds):
        starts = Random(number)
        texts = [
            encode(tokenizer, thinking_text(family, starts.randrange(len(TEXT))))
            for _ in range(BRANCHES)
        ]
        engine, result = cut_race(tokenizer, family, texts, f"race{number}")
        own = {request.branch: request for request in engine.requests if not request.forced}
        for request in engine.forced_requests():
            begun, branch = own[request.branch].prompt, result.branches[request.branch]
            cut = branch.tokens - branch.forced_tokens
            written = tuple(texts[request.branch][:cut])
            assert request.prompt[: len(begun) + cut] == (*begun, *written)
            suffix = request.prompt[len(begun) + cut :]
            assert branch.forced_at is not None
            text = branch.text[branch.forced_at :].removesuffix("7}")
            assert suffix == tuple(encode(tokenizer, text))
            assert text.endswith(SUFFIX)
            assert result.thinking is not None
            said = result.thinking.read(branch.text)
            assert BROKEN not in branch.text
            assert not any(mark in said.content for mark in MARKS)
            assert "Ωmega" not in said.content
            assert said.content.strip().endswith(f"{SUFFIX}7}}")
            cuts += 1
            inside += "Sô" not in branch.text
    assert cuts >= 0.9 * rounds * BRANCHES  # the quickest have ended
    assert inside >= 0.2 * rounds * BRANCHES
    assert cuts - inside >= 0.05 * rounds * BRANCHES


@pytest.mark.parametrize(
    ("template", "position"),
    [({}, "before"), ({"enable_thinking": False}, "after")],
    ids=["as-usual", "told-not-to"],
)
def test_where_the_template_leaves_the_model(
    family: str, tokenizer: Any, template: dict[str, Any], position: str
) -> None:
    if family not in PRESETS:
        pytest.skip("its models do not think")
    engine = TokenizedEngine(tokenizer, lambda request: encode(tokenizer, "\\boxed{7}"))

    async def race() -> Result:
        async with Runtime(engine, settings(family)) as runtime:
            asked: Any = {"template_arguments": template, "branches": 1, "deadline": 30.0}
            return await runtime.solve("How many?", **asked)

    thinking = run_virtual(race).thinking
    assert thinking is not None
    assert thinking.position == (position if family == "qwen3" else "before")


def test_the_family_is_found_by_the_files(family: str, model_folder: Path) -> None:
    found = family_of(inspect(model_folder))
    known = {"qwen3": "qwen3", "gpt-oss": "gpt-oss", "gemma3": "gemma3"}
    assert (found and found.key) == known.get(family)
