"""Tokenizers in this process: what they give, and what they refuse without tokenising it."""

import threading
from functools import partial
from importlib.util import find_spec
from typing import Any

import anyio
import pytest
from tests.backends import every_backend, until

from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.errors import Overloaded, PromptTooLong
from frontrunner.runtime.prompts.tokenizing import OffLoop

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)


@pytest.fixture(scope="module")
def plain() -> Any:
    """The demo's tokenizer, a byte-level one."""
    import transformers

    from frontrunner.runtime.engines.vllm.start import model_folder

    return transformers.AutoTokenizer.from_pretrained(model_folder("demo"))


@pytest.mark.parametrize("text", ["", "Mia has 34 apples.\n", "é\U0001f40e ∑" * 50, "ab 12 " * 999])
def test_tokens_are_those_of_the_library(plain: Any, text: str) -> None:
    expected = tuple(plain.encode(text, add_special_tokens=False))
    assert LocalTokenizer(plain).encode(text) == expected
    assert LocalTokenizer(plain).encode(text, at_most=max(1, len(expected))) == expected


def test_what_is_certainly_too_long_is_not_tokenised(plain: Any) -> None:
    longest = max(map(len, plain.get_vocab()))
    local = LocalTokenizer(plain)
    local._fast = None
    local._tokenizer = None  # whatever asks it fails
    with pytest.raises(PromptTooLong, match="at least 101 tokens, and the model's context of 100"):
        local.encode("x" * (100 * longest + 1), at_most=100)


class Backend:
    """As much of a tokenizer as is looked at."""

    def __init__(self, normalizer: str = "None", pre_tokenizer: str = "ByteLevel(…)") -> None:
        self.normalizer, self.pre_tokenizer = Said(normalizer), Said(pre_tokenizer)


class Said:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Added:
    def __init__(self, *, strips: bool) -> None:
        self.lstrip, self.rstrip = False, strips


class Tokenizer:
    def __init__(self, backend: Backend | None, *, strips: bool = False) -> None:
        if backend is not None:
            self.backend_tokenizer = backend
        self.added_tokens_decoder = {0: Added(strips=strips)}

    def get_vocab(self) -> dict[str, int]:
        return {"a": 0, "ab": 1}

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [1]


@pytest.mark.parametrize(
    ("tokenizer", "most"),
    [
        (Tokenizer(Backend()), 20),
        (Tokenizer(Backend("NFC()")), 80),
        (Tokenizer(Backend("Sequence(normalizers=[Lowercase()])")), None),
        (Tokenizer(Backend(pre_tokenizer="Metaspace()")), None),
        (Tokenizer(Backend(pre_tokenizer="Split(behavior=Removed), ByteLevel()")), None),
        (Tokenizer(Backend(), strips=True), None),
        (Tokenizer(None), None),
    ],
)
def test_only_what_is_certain_is_refused(tokenizer: Tokenizer, most: int | None) -> None:
    local = LocalTokenizer(tokenizer)
    if most is None:
        assert local.encode("x" * 100_000, at_most=10) == (1,)
        return
    assert local.encode("x" * most, at_most=10) == (1,)
    with pytest.raises(PromptTooLong):
        local.encode("x" * (most + 1), at_most=10)


# ── threads ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_few_threads_do_it_and_others_wait_no_longer_than_they_can() -> None:
    off_loop, release = OffLoop(), threading.Event()
    running = list[int]()
    most = 0

    def work(index: int) -> int:
        nonlocal most
        running.append(index)
        most = max(most, len(running))
        release.wait(20)
        running.remove(index)
        return index

    done = list[int]()

    async def one(index: int) -> None:
        done.append(await off_loop.run(partial(work, index), anyio.current_time() + 60))

    try:
        async with anyio.create_task_group() as tasks:
            for index in range(5):
                tasks.start_soon(one, index)
            await until(lambda: len(running) == 2)
            with pytest.raises(Overloaded):
                await off_loop.run(partial(work, 9), anyio.current_time() + 0.01)
            with anyio.move_on_after(0.01) as given_up:
                await off_loop.run(partial(work, 9), anyio.current_time() + 60)
            assert given_up.cancelled_caught
            release.set()
    finally:
        release.set()
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert most == 2


@every_backend
async def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise PromptTooLong(2, 1)

    off_loop = OffLoop()
    for _ in range(3):
        with pytest.raises(PromptTooLong):
            await off_loop.run(fail, anyio.current_time() + 1e6)
