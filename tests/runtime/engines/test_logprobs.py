"""Log probabilities: what tokens stand for, and which of several with one text is told."""

from frontrunner.runtime.engines.logprobs import likeliest
from frontrunner.runtime.engines.vllm.logprobs import TokenTexts

#: Token i is the i-th byte of this.
BYTES = "a é €ab".encode()


def decode(tokens: list[int]) -> str:
    return bytes(BYTES[token] for token in tokens).decode("utf-8", "replace")


def test_a_character_of_several_tokens_stands_with_the_last() -> None:
    texts = TokenTexts(decode).in_order(range(len(BYTES)))
    assert texts == ["a", " ", "", "é", " ", "", "", "€", "a", "b"]
    assert "".join(texts) == BYTES.decode()


def test_bytes_that_are_no_character_are_told_in_the_end() -> None:
    broken = BYTES.index("€".encode())
    texts = TokenTexts(decode).in_order([0, *[broken] * 4, 0])
    assert texts[:4] == ["a", "", "", ""]
    assert texts[4].startswith("�")
    assert texts[5] == "a"


def test_each_token_is_decoded_once() -> None:
    asked: list[list[int]] = []

    def counting(tokens: list[int]) -> str:
        asked.append(tokens)
        return decode(tokens)

    texts = TokenTexts(counting)
    assert [texts.of(0) for _ in range(3)] == ["a"] * 3
    assert asked == [[0]]


def test_of_tokens_with_one_text_the_likeliest_is_told() -> None:
    told = likeliest([("�", -3.0), ("x", -2.0), ("�", -1.0)])
    assert list(told.items()) == [("�", -1.0), ("x", -2.0)]
