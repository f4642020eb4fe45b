"""The real engine with a tokenizer of 200,000 tokens that models are served with, and weights that
mean nothing: what depends on the tokenizer does not depend on them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from frontrunner.runtime.config import Settings, VllmSettings
from frontrunner.runtime.engines.protocol import Chunk, Generation, Sampling
from frontrunner.runtime.engines.vllm import engine as vllm_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

from ..tokenizers.conftest import make_model_folder
from ..tokenizers.texts import TEXT
from ..tokenizers.tokenized_engine import BROKEN, encode, pieces

SUFFIX = "\n\nTime is up. 答えは \\boxed{"
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}


class Watched(VllmEngine):
    """Notes what was asked of it, and what each request was given."""

    asked: dict[str, Generation]
    given: dict[str, list[Chunk]]

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        self.asked[request.request_id] = request
        chunks = self.given[request.request_id] = []
        async with aclosing(super().generate(request)) as stream:
            async for chunk in stream:
                chunks.append(chunk)
                yield chunk


@pytest.fixture(scope="module")
async def runtime(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[Runtime, None]:
    folder = make_model_folder("gpt-oss", tmp_path_factory.mktemp("model"), **LLAMA)
    settings = Settings.from_dict(
        {
            # Cut by their token limit and not by a deadline, which a busy machine may miss.
            "race": {"branches": 16, "deadline": 300.0},
            "sampling": {"temperature": 1.0, "max_tokens": 50},
            "forcing": {"suffix": SUFFIX},
            "prompt": {"instruction": ""},
        }
    )
    own = VllmSettings(model=str(folder), max_context_tokens=2048, max_branches=32, family="none")
    settings = settings.model_copy(update={"engine": own})
    engine = Watched(own)
    engine.asked, engine.given = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        arguments = vllm_engine.engine_arguments
        patch.setattr(
            vllm_engine,
            "engine_arguments",
            lambda *args, **more: {**arguments(*args, **more), "load_format": "dummy"},
        )
        async with Runtime(engine, settings) as started:
            yield started


@pytest.fixture(scope="module")
def tokenizer(runtime: Runtime) -> Any:
    return engine_of(runtime).llm.get_tokenizer()


def engine_of(runtime: Runtime) -> Watched:
    assert isinstance(runtime.engine, Watched)
    return runtime.engine


async def written(engine: Watched, name: str, prompt: list[int], tokens: int = 8) -> list[Chunk]:
    request = Generation(name, tuple(prompt), tokens, Sampling(temperature=1.0), seed=len(prompt))
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


async def test_forced_answers_begin_with_exactly_what_was_generated(
    runtime: Runtime, tokenizer: Any
) -> None:
    engine = engine_of(runtime)
    suffix = encode(tokenizer, SUFFIX)
    messages = [{"role": "user", "content": "Wie viele 林檎? 🍎"}]
    result = await runtime.solve(messages)
    prompt = encode(
        tokenizer,
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
    )
    forced = [request for request in engine.asked.values() if request.forced]
    assert len(forced) >= sum(b.status is BranchStatus.FORCED for b in result.branches) > 0
    for request in forced:
        name = request.request_id.rsplit("-", 1)[0]  # of the branch's own
        given = [token for chunk in engine.given[name] for token in chunk.token_ids]
        middle = list(request.prompt[len(prompt) : -len(suffix)])
        assert list(request.prompt) == [*prompt, *middle, *suffix]
        assert given[: len(middle)] == middle


async def test_text_is_that_of_the_tokens_behind_prompts_that_end_anywhere(
    runtime: Runtime, tokenizer: Any
) -> None:
    engine, rng = engine_of(runtime), Random(5)
    ids = encode(tokenizer, TEXT)
    within = 0
    for number in range(60):
        prompt = ids[: rng.randrange(20, len(ids))]
        within += tokenizer.decode(prompt).endswith(BROKEN)
        chunks = await written(engine, f"cut-{number}", prompt)
        told = [token for chunk in chunks for token in chunk.token_ids]
        text = "".join(chunk.text for chunk in chunks)
        again = pieces(tokenizer, prompt, told, rng)
        assert text == "".join(chunk.text for chunk in again)
        assert TEXT[:8] not in text  # nothing of the prompt
    assert within >= 5
