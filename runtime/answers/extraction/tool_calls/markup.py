"""Calls in markup: names and arguments between tags, the values without types."""

import re
from typing import Final

from .calls import Offered
from .payload import NAME, Read, arguments_at, skip_space

# What a function or an argument may be named in a tag.
_ATTRIBUTE: Final = (
    r"(?:\"(?P<{0}1>[^\"<>]{{1,256}})\"|'(?P<{0}2>[^'<>]{{1,256}})'|(?P<{0}3>[^\s\"'<>]{{1,256}}))"
)
_PARAMETER: Final = re.compile(
    r"\s*+<(?P<tag>[^\s<>=\"/]{0,16}[ ]?param(?:eter)?)(?:\s*=\s*|\s+name\s*=\s*)"
    + _ATTRIBUTE.format("k")
    + r"(?:\s+string\s*=\s*[\"'](?P<text>\w{1,8})[\"'])?\s*>"
)
# The beginning of a parameter, its tag misspelled.
_LIKE_PARAMETER: Final = re.compile(
    r"(?:<[^\s<>=\"/]{1,32}[ ]?[^\s<>=\"/]{0,32}|[^\s<>=\"/]{0,16}param\w{0,8})"
    r"(?:[ ]n\w{0,4})?[ ]?="
)
_KEY: Final = re.compile(
    r"\s*+<(?P<space>ifm\|)?arg_key>(?P<key>[^<]{1,256})</(?:ifm\|)?arg_key>\s*+"
)
_ARG_KEY: Final = re.compile(r"<(?:ifm\|)?arg_key>")
_KEY_TYPE: Final = re.compile(r"<ifm\|arg_type>[^<]{0,64}</ifm\|arg_type>\s*+")
_GLM_END: Final = re.compile(r"\s*+</(?:ifm\|)?tool_call>")
_GLM_SEPARATOR: Final = re.compile(r"\s*+(?:<tool_sep>\s*+)?")
_IDENTIFIER: Final = re.compile(r"[^\W\d]\w*(?:[.-]\w+)*+")
_NO_NAMES: Final = frozenset({"none", "null", "nothing", "no", "empty", "true", "false"})
_CDATA: Final = re.compile(r"\s*<!\[CDATA\[(.*)\]\]>\s*", re.DOTALL)


def read_element(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``<function=f>`` or ``<invoke name="f">`` with its parameters, or with a JSON object.

    Qwen3-Coder, Seed-OSS, Step, Nemotron (``<parameter=x>``); MiniMax, DeepSeek's DSML, Anthropic,
    dots, MiniCPM (``<parameter name="x">``); Llama (``<function=f>{…}``).
    """
    name = _attribute(match, "n").strip()
    position = skip_space(text, match.end())
    if text.startswith(("{", "```"), position):
        return arguments_at(text, position, name)
    end_tag = f"</{match['tag']}>"
    arguments = {}
    while (parameter := _PARAMETER.match(text, position)) is not None:
        key = _attribute(parameter, "k").strip()
        closed = _element_end(text, parameter, end_tag)
        if closed is None or key in arguments:
            return None
        end, position = closed
        value = _trimmed(text[parameter.end() : end])
        as_text = parameter["text"] == "true"
        arguments[key] = value if as_text else tools.typed(name, key, value)
    position = skip_space(text, position)
    if not text.startswith(end_tag, position):
        return None
    return Read([{"name": name, "arguments": arguments}], position + len(end_tag))


def read_keys(text: str, start: int, tools: Offered) -> Read | None:
    """``f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>``: GLM, Ling, Poolside, Hunyuan.

    A name alone is a call without arguments; a word that says that there is none is no name.
    """
    named = NAME.match(text, skip_space(text, start))
    if named is None:
        return None
    name = named[0]
    separator = _GLM_SEPARATOR.match(text, named.end())
    position = separator.end() if separator is not None else named.end()
    arguments = {}
    while (key := _KEY.match(text, position)) is not None:
        kind = _KEY_TYPE.match(text, key.end())
        opening, closing = (f"<{end}{key['space'] or ''}arg_value>" for end in ("", "/"))
        value_start = (kind or key).end() + len(opening)
        value_end = text.find(closing, value_start)
        known = key["key"].strip()
        if not text.startswith(opening, value_start - len(opening)) or value_end < 0:
            return None
        # The tag that closes this value is misspelled, if another key begins before it.
        if known in arguments or _ARG_KEY.search(text, value_start, value_end):
            return None
        arguments[known] = tools.typed(name, known, text[value_start:value_end])
        position = value_end + len(closing)
    ending = _GLM_END.match(text, position)
    if ending is None or not (arguments or name in tools.schemas or _is_identifier(name)):
        return None
    return Read([{"name": name, "arguments": arguments}], ending.end())


def _is_identifier(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name.lower() not in _NO_NAMES


def _element_end(text: str, parameter: re.Match[str], end_tag: str) -> tuple[int, int] | None:
    """Where the parameter's value ends, and where its closing tag does.

    A closing tag within a value does not end it: another parameter follows, or the call's end.
    Where another one begins before that, or what looks like one, a tag is missing or misspelled,
    and nobody knows where the value ends.
    """
    tag = parameter["tag"]
    closing = f"</{tag}>"
    end = text.find(closing, parameter.end())
    while end >= 0:
        after = skip_space(text, end + len(closing))
        if text.startswith((f"<{tag}", end_tag), after):
            broken = _begins_another(text, tag, parameter.end(), end)
            return None if broken else (end, end + len(closing))
        if _LIKE_PARAMETER.match(text, after) is not None:
            return None
        end = text.find(closing, end + len(closing))
    return None


def _begins_another(text: str, tag: str, start: int, end: int) -> bool:
    """Whether another parameter begins in the text between two places."""
    start = text.find(f"<{tag}", start, end)
    while start >= 0:
        if _PARAMETER.match(text, start, end) is not None:
            return True
        start = text.find(f"<{tag}", start + 1, end)
    return False


def _attribute(match: re.Match[str], group: str) -> str:
    return next(match[f"{group}{i}"] for i in (1, 2, 3) if match[f"{group}{i}"] is not None)


def _trimmed(value: str) -> str:
    """Without the line breaks that the template puts around a value."""
    data = _CDATA.fullmatch(value)
    return data[1] if data is not None else value.removeprefix("\n").removesuffix("\n")


ELEMENT: Final = (
    r"<(?P<tag>(?:[^\s<>=\"/]{0,16}[ ]?invoke|function)(?![\w]))(?:\s*=\s*|\s+name\s*=\s*)"
    + _ATTRIBUTE.format("n")
    + r"\s*>"
)
