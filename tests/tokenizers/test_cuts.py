"""Branches that are cut anywhere and made to answer: what the engine gets is what it gave."""

from collections.abc import Sequence
from importlib.util import find_spec
from random import Random
from typing import Any

import pytest
from tests.backends import run_virtual
from tests.profiles import examples
from tests.runtime.race_harness import PROMPT, SUFFIX, Setup

from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.racing.branch import Branch
from frontrunner.runtime.result import Result
from frontrunner.strategies.majority import Majority

from .texts import TEXT, turned
from .tokenized_engine import BROKEN, TokenizedEngine, detokenizer, encode, pieces

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

BRANCHES = 250
#: Of a round: those that are within a character are what it is about.
WITHIN = 5


def test_forced_answers_begin_with_exactly_what_was_generated(tokenizer: Any) -> None:
    suffix, answer = encode(tokenizer, SUFFIX), encode(tokenizer, "7}")
    cuts = within = 0
    rounds = max(1, examples(2_000) // BRANCHES)
    for number in range(rounds):
        starts = Random(number)
        texts = [
            encode(tokenizer, turned(starts.randrange(len(TEXT)))[:1000]) for _ in range(BRANCHES)
        ]
        engine, result = cut_race(tokenizer, texts, answer)
        forced = {request.branch: request for request in engine.forced_requests()}
        assert len(forced) == BRANCHES
        for branch, text in zip(result.branches, texts, strict=True):
            cut = branch.tokens - branch.forced_tokens
            assert engine.told[f"race-b{branch.index}"][:cut] == text[:cut]
            assert forced[branch.index].prompt == (*PROMPT, *text[:cut], *suffix)
            assert branch.forced_at is not None
            before, after = branch.text[: branch.forced_at], branch.text[branch.forced_at :]
            assert tokenizer.decode(text, skip_special_tokens=True).startswith(before)
            assert after == f"{SUFFIX}7}}"
            assert BROKEN not in branch.text
            cuts += 1
            within += tokenizer.decode(text[:cut], skip_special_tokens=True) != before
    assert cuts == rounds * BRANCHES
    assert within >= WITHIN * rounds


def cut_race(
    tokenizer: Any, texts: Sequence[Sequence[int]], answer: Sequence[int]
) -> tuple[TokenizedEngine, Result]:
    """A race of branches that write these texts, each at its own speed, until its deadline."""

    def write(request: Generation) -> Sequence[int]:
        return answer if request.forced else texts[request.branch]

    def pause(request: Generation, rng: Random) -> float:
        return 0.0 if request.forced else rng.uniform(0.2, 2.0)

    async def race() -> tuple[TokenizedEngine, Result]:
        engine = TokenizedEngine(tokenizer, write, pauses=pause)
        return engine, await Setup(engine, Majority(len(texts)), deadline=8.0).run()

    return run_virtual(race)


async def test_a_branch_that_goes_on_from_another_writes_the_rest_of_its_text(
    tokenizer: Any,
) -> None:
    prompt, ids = encode(tokenizer, "Question: how many?\n"), encode(tokenizer, TEXT)
    whole, rng = tokenizer.decode(ids, skip_special_tokens=True), Random(1)
    for cut in range(len(ids) + 1):
        parent, child = branch(0), branch(1)
        write(tokenizer, parent, prompt, ids[:cut], rng)
        parent.fork(cut, child)
        assert list(child.token_ids) == ids[:cut]
        write(tokenizer, child, [*prompt, *child.token_ids], ids[cut:], rng)
        assert list(child.token_ids) == ids
        assert child.text == whole


async def test_text_that_takes_the_place_of_an_end_is_exact(tokenizer: Any) -> None:
    """As budget forcing has it: what came from the end of the thinking on is written anew."""
    prompt, rng = encode(tokenizer, "Question: how many?\n"), Random(2)
    end, more = "</think>", "\nWait, 日本 "
    for start in range(0, len(TEXT), 7):
        thought = turned(start).replace(end, "")[:120]
        ids = encode(tokenizer, thought + end + "\n\nIt is 8.")
        thinking = branch(0)
        write(tokenizer, thinking, prompt, ids, rng)
        written = thinking.text
        kept = thinking.resume(end, more, tuple(encode(tokenizer, more)))
        assert list(thinking.token_ids) == [*ids[: kept.tokens], *encode(tokenizer, more)]
        assert thinking.text == written[: kept.characters] + more
        assert written.startswith(written[: kept.characters])
        assert end not in thinking.text
        assert BROKEN not in thinking.text


def branch(index: int) -> Branch:
    return Branch(index=index, request_id=f"race-b{index}", seed=None, launched_at=0.0)


def write(
    tokenizer: Any, branch: Branch, prompt: Sequence[int], ids: Sequence[int], rng: Random
) -> None:
    """Let ``branch`` generate ``ids`` behind ``prompt``."""
    for chunk in pieces(tokenizer, prompt, ids, rng):
        branch.put(chunk.text, chunk.token_ids, chunk.confidences)
        branch.take_in()


def test_the_suffix_is_itself_after_any_cut(tokenizer: Any) -> None:
    ids = encode(tokenizer, TEXT)
    for text in (SUFFIX, "\n</think>\n\nThe final answer is ", "\n\n答えは \\boxed{", "}\n", " 7"):
        suffix = encode(tokenizer, text)
        assert tokenizer.decode(suffix) == text
        for cut in range(len(ids) + 1):
            assert tokenizer.decode([*ids[:cut][-40:], *suffix]).endswith(text)


def test_a_stream_has_whole_characters_only(tokenizer: Any) -> None:
    """vLLM's detokenizer, behind prompts that end anywhere, within a character too."""
    ids, rng = encode(tokenizer, TEXT), Random(3)
    for cut in range(len(ids) + 1):
        before = "".join(chunk.text for chunk in pieces(tokenizer, (), ids[:cut], rng))
        after = "".join(chunk.text for chunk in pieces(tokenizer, ids[:cut], ids[cut:], rng))
        assert before + after == tokenizer.decode(ids, skip_special_tokens=True)
        assert BROKEN not in before + after


def test_what_is_no_text_does_not_bring_back_the_prompt(tokenizer: Any) -> None:
    """Bytes that never become a character, at the end of a prompt."""
    emoji = encode(tokenizer, "𓀀")
    assert len(emoji) > 1
    prompt = [*encode(tokenizer, "The secret is 42."), *emoji[:1] * 30]
    stream = detokenizer(tokenizer, prompt)
    stream.update(encode(tokenizer, " So it is."), False)
    assert stream.get_next_output_text(True, True).strip(BROKEN) == " So it is."
