"""The marks by which model families announce a call, and who reads what follows.

A table, tried at every place of the text at once: the first mark that stands there decides. A mark
whose call is broken or unfinished leaves the text without an answer.
"""

import re
from collections.abc import Callable
from typing import Final

from ....thinking import is_function
from ..json_values import NoValueError
from .calls import Call, Offered
from .elements import INVOCATION, read_elements
from .literals import invocation_at, object_at
from .markup import ELEMENT, read_element, read_keys
from .payload import Read, arguments_at, read_payload, skip_space

#: A mark's match in the text to the calls there; None: none that could be read.
Reader = Callable[[str, re.Match[str], Offered], Read | None]

_HEADER: Final = re.compile(
    r"(?:\s|<\|(?:channel|constrain|message)\|>|(?:commentary|analysis|final|code|json)\b){1,16}"
)
_KIMI_HEAD: Final = re.compile(
    r"\s*+(?:functions?\.)?(?P<name>[\w.-]{1,128}?)(?::\d{1,6})?\s*+<\|tool_call_argument_begin\|>"
)
_DEEPSEEK_HEAD: Final = re.compile(
    r"\s*+(?P<first>[\w.-]{1,128}+)\s*+<[|｜]tool[▁_ ]sep[|｜]>\s*+(?P<second>[\w.-]{1,128}+)?+"
)
_MISTRAL_HEAD: Final = re.compile(
    r"\s*+(?P<name>[\w.-]{1,128}+)\s*+(?:\[CALL_ID\]\s*+\w{1,64}+\s*+)?+(?:\[ARGS\])?+"
)
_PRINTED: Final = re.compile(r"print\(\s*+(?=[\w.]{1,128}\()")
_BLOCK_END: Final = re.compile(r"\s*+(?:```|\Z)")
_FUNCTION_GEMMA: Final = "<start_function_call>"
_GEMMA_HEAD: Final = re.compile(r"\s*+call:\s*+(?P<name>[\w.-]{1,128}+)(?=\{)")


def _tagged(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """Tags around calls: Hermes, Qwen, GLM, Granite, Jamba, Hunyuan, Nemotron, ERNIE and others."""
    start = skip_space(text, match.end())
    if MARKS.match(text, start) is not None:
        return Read([], start)  # the tag is only around another one
    return read_payload(text, start, tools) or read_keys(text, start, tools)


def _marked(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """Tokens before calls: Llama, Phi, InternLM, Cohere, LFM, GigaChat, Apertus."""
    start = skip_space(text, match.end())
    return Read([], start) if MARKS.match(text, start) else read_payload(text, start, tools)


def _llama(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``f.call(x=1)`` is how Llama writes a call of a tool that is built in."""
    read = _marked(text, match, tools)
    for call in read.calls if read is not None else ():
        call["name"] = call["name"].removesuffix(".call")
    return read


def _tool_code(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """Gemma's block of code that is nothing but calls, each printed or not."""
    calls: list[Call] = []
    position = match.end()
    while (end := _BLOCK_END.match(text, position)) is None:
        printed = _PRINTED.match(text, position)
        try:
            call, position = invocation_at(text, printed.end() if printed else position)
        except NoValueError:
            return None if calls else Read([], match.end())
        if printed:
            if not text.startswith(")", position):
                return None
            position += 1
        calls.append(call)
        position = skip_space(text, position)
    return Read(calls, end.start())


def _element(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    return read_element(text, match, tools)


def _mistral(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``[TOOL_CALLS]`` with a list, or with a name and its arguments."""
    head = _MISTRAL_HEAD.match(text, match.end())
    if head is None:
        return read_payload(text, match.end(), tools)
    return arguments_at(text, head.end(), head["name"])


def _kimi_or_deepseek(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """A name between tokens: Kimi (``f:0``), and DeepSeek (``function``, then ``f``; or ``f``)."""
    if (head := _KIMI_HEAD.match(text, match.end())) is not None:
        return arguments_at(text, head.end(), head["name"])
    head = _DEEPSEEK_HEAD.match(text, match.end())
    if head is None:
        return _marked(text, match, tools)
    start = skip_space(text, head.end())
    if head["second"] is None and MARKS.match(text, start) is not None:
        return Read([], start)  # Step-3 puts an element there
    return arguments_at(text, start, head["second"] or head["first"])


def _bare_kimi(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """Kimi's call without its tokens: ``functions.f:0{…}``."""
    read = arguments_at(text, match.end(), match["kimi"])
    return read or Read([], match.end())


def _harmony(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``to=functions.f`` in a message's header: gpt-oss."""
    header = _HEADER.match(text, match.end())
    start = header.end() if header is not None else match.end()
    certain = match["space"] or (header is not None and "<|" in header[0])
    if not certain or not is_function((match["space"] or "") + match["recipient"]):
        return Read([], match.end())  # prose, or no tool
    return arguments_at(text, start, match["recipient"])


def _gemma(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``call:f{x:1}``: Gemma 4 and FunctionGemma."""
    head = _GEMMA_HEAD.match(text, match.end())
    if head is None:
        return _marked(text, match, tools)
    try:
        arguments, end = object_at(text, head.end())
    except NoValueError:
        return None
    name = head["name"]
    if match[0] == _FUNCTION_GEMMA:  # it marks every value as a string is
        arguments = {
            key: tools.typed(name, key, value) if isinstance(value, str) else value
            for key, value in arguments.items()
        }
    return Read([{"name": name, "arguments": arguments}], end)


def _react(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """``Action: f`` and ``Action Input: {…}``: prompts in ReAct's manner; Qwen-Agent's marks."""
    return arguments_at(text, match.end(), match["action"])


#: Marks, as patterns without groups of their own but for named ones; more exact ones first.
_FORMATS: Final[tuple[tuple[str, Reader], ...]] = (
    (INVOCATION, read_elements),
    (ELEMENT, _element),
    (
        r"<(?:(?:longcat_|seed:|minimax:|ifm\|)?tool_calls?|TOOLCALL|tools"
        r"|(?:dots_)?function_calls?|antml:function_calls|atem:function_calls"
        r"|｜DSML｜[ ]?(?:function_calls|tool_?calls|calls|tool))>",
        _tagged,
    ),
    (rf"<\|tool_call>|{_FUNCTION_GEMMA}", _gemma),
    (r"<[|｜]tool[▁_ ]call[▁_ ]begin[|｜]>", _kimi_or_deepseek),
    (
        r"<[|｜]tool[▁_ ]calls(?:_section)?[▁_ ]begin[|｜]>|<\|tool_calls?\|>"
        r"|<\|python_start\|>"
        r"|<\|action_start\|>\s{0,4}<\|plugin\|>|<\|function_call\|>|function call<\|role_sep\|>"
        r"|<\|START_ACTION\|>|<\|tools_prefix\|>|<\|tool_call_start\|>|functools(?=\[)"
        r"|<\|content_invoke_tool_json\|>",
        _marked,
    ),
    (r"<\|python_tag\|>", _llama),
    (r"^[ \t]*```tool_code[ \t]*\n\s*+", _tool_code),
    (r"\[TOOL_CALLS\]", _mistral),
    (
        r"(?<![\w=])to=(?P<space>functions\.)?(?P<recipient>[\w.-]{1,128}?)(?=(?:commentary)?(?![\w.-]))",
        _harmony,
    ),
    (r"(?<![\w.])functions\.(?P<kimi>[\w.-]{1,128}):\d{1,6}(?=\s{0,8}\{)", _bare_kimi),
    (
        r"^(?:Action: ?(?P<action>[\w.-]{1,128}+)[ \t]{0,8}\n+Action Input: ?)",
        _react,
    ),
)
_GROUP: Final = "format_{}"
MARKS: Final = re.compile(
    "|".join(f"(?P<{_GROUP.format(i)}>{mark})" for i, (mark, _) in enumerate(_FORMATS)),
    re.MULTILINE,
)
_READERS: Final = {_GROUP.format(i): reader for i, (_, reader) in enumerate(_FORMATS)}


def read_marked(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """The calls behind one mark; none if it is only around others; None if they are broken."""
    name = next(name for name in _READERS if match[name] is not None)
    return _READERS[name](text, match, tools)
