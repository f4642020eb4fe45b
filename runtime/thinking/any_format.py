"""What a model says, as opposed to what it only thinks: answers are read from the former alone.

Nobody has said how this model marks its thinking: the tags of all known families are looked for in
the whole text. Where the format is known, ``format`` reads it, piece by piece if need be.
"""

import re
from collections.abc import Iterable
from typing import Final

from .format import LOOKED_BACK, MESSAGE_ENDS, calls_function, is_quoted

#: The tags between which model families think: what opens, and what closes it. Some are written in
#: capitals, or with a blank before the end.
_TAGS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<mm:think>": "</mm:think>",
    "<ifm|think>": "</ifm|think>",
    "<ifm|think_fast>": "</ifm|think_fast>",
    "<ifm|think_faster>": "</ifm|think_faster>",
    "<longcat_think>": "</longcat_think>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",  # Cohere
    "<|channel>": "<channel|>",  # Gemma 4
    "<unused94>": "<unused95>",  # MedGemma
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",  # Kimi K3
    "<|plamo:begin_think:plamo|>": "<|plamo:end_think:plamo|>",
    "[think]": "[/think]",  # Mistral
    "◁think▷": "◁/think▷",
}
_CLOSING: Final = {closing: opening for opening, closing in _TAGS.items()}
# Hunyuan's tags may have a suffix of their own: `<think:6124c78e>`.
_SUFFIXED: Final = r"</?think:\w{1,16}>"


def _any_of(tags: Iterable[str]) -> str:
    return "|".join(re.escape(tag).replace(">", r"\s?>") for tag in tags)


_TAG: Final = re.compile(f"{_any_of((*_TAGS, *_CLOSING))}|{_SUFFIXED}", re.I)
#: What ends a thinking while it is being written.
END_OF_THINKING: Final = re.compile(
    rf"{_any_of(_CLOSING)}|{_SUFFIXED.replace('?', '', 1)}|(?-i:<\|channel\|>\s{{0,8}}final\b)",
    re.I,
)
# Granite thinks in words, if it begins so.
_GRANITE: Final = re.compile(r"\s{0,8}Here(?:'s| is) my thought process:")
_GRANITE_REPLY: Final = re.compile(r"Here(?:'s| is) my response:\s?")
# OpenAI's harmony format: messages on channels, of which only `final` is for the reader.
# `commentary` holds calls of tools and what is said about them.
_THOUGHT_CHANNEL: Final = "analysis"
_MESSAGE_HEADER: Final = re.compile(
    rf"(?:<\|start\|>[^<]{{0,{LOOKED_BACK}}})?(?P<from><\|channel\|>)\s*(?P<channel>\w+)"
    rf"(?:[^<]|<\|constrain\|>){{0,{LOOKED_BACK}}}"
)
# What is left of it where an engine drops special tokens: `analysisWe add.assistantfinal5`.
_BARE_ANALYSIS: Final = re.compile(r"analysis(?=[A-Z\d\"'(\\$])")
_BARE_FINAL: Final = "assistantfinal"
_MESSAGE_END: Final = re.compile("|".join(map(re.escape, MESSAGE_ENDS)))


def without_thinking(text: str) -> str:
    """What ``text`` says outside its thinking; thinking that is not finished runs to the end.

    A closing tag without an opening one ends a thinking that began in the prompt, as chat templates
    have it: what comes before it was thought. Tags in quotes are data. Time is linear in the length
    of ``text``.
    """
    if "<|channel|>" in text:
        text = _without_analysis(text)
    elif _BARE_ANALYSIS.match(text):
        text = text.rpartition(_BARE_FINAL)[2] if _BARE_FINAL in text else ""
    elif _GRANITE.match(text):
        reply = _GRANITE_REPLY.search(text)
        text = text[reply.end() :] if reply else ""
    said: list[str] = []
    kept_to = 0  # where what is said goes on
    inside: str | None = None  # the tag that opened the thinking
    for match in _TAG.finditer(text):
        tag = _spelled(match[0])
        if inside is None and _quoted(text, match.start()):
            continue
        if inside is None and tag in _TAGS:
            said.append(text[kept_to : match.start()])
            inside = tag
        elif inside is not None and tag == _TAGS[inside]:
            inside, kept_to = None, match.end()
        elif inside is None:
            said, kept_to = [], match.end()
    if inside is None:
        said.append(text[kept_to:])
    return "".join(said)


def _spelled(tag: str) -> str:
    tag = "".join(tag.split()).lower()
    return tag.partition(":")[0] + ">" if tag.startswith(("<think:", "</think:")) else tag


def _quoted(text: str, position: int) -> bool:
    """Whether a string that began on the same line is still open there."""
    return is_quoted(text[max(0, position - LOOKED_BACK) : position].rpartition("\n")[2])


def _without_analysis(text: str) -> str:
    """``text`` without the messages on harmony's channel for thinking. A call of a function that
    is made there is none of them: the model makes it, it does not think of one."""
    said: list[str] = []
    kept_to = 0
    for match in _MESSAGE_HEADER.finditer(text):
        start = match.start("from")
        if start < kept_to or match["channel"] != _THOUGHT_CHANNEL or calls_function(match[0]):
            continue
        said.append(text[kept_to:start])
        end = _MESSAGE_END.search(text, match.end())
        if end is None:
            kept_to = len(text)
            break
        # Another message may begin without this one's end being written.
        kept_to = end.end() if end[0] == "<|end|>" else end.start()
    said.append(text[kept_to:])
    return "".join(said)
