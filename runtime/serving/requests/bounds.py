"""How much a request may hold, counted before anything is made of it.

All races share one event loop: what takes long for one request is late for all others. So bytes are
counted before they are parsed, and items before they are checked one by one; both take a few
milliseconds for a megabyte of the worst kind.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field

from ...errors import BadRequest
from ..errors import BadParameter

T = TypeVar("T")
#: A list in a request's body. One item that is wrong is complained of, not every one: that takes
#: seconds where a million are.
Items = Annotated[list[T], Field(fail_fast=True)]

#: Lists and objects in one body or message.
MAX_CONTAINERS: Final = 8_192
#: Strings in it, the names of fields included.
MAX_STRINGS: Final = 65_536
#: Values in it; the token ids of a long prompt are as many.
MAX_VALUES: Final = 140_000
#: Items of one list, or fields of one object. Token ids may be more.
MAX_ITEMS: Final = 2_048

#: Items of the lists and objects that a request's fields are, where fewer than ``MAX_ITEMS`` do.
MAX_OF: Final[Mapping[str, int]] = {
    "stop": 32,
    "tools": 256,
    "functions": 256,
    "logit_bias": 1_024,
    "metadata": 16,
    "frontrunner": 64,
    "include": 64,
    "modalities": 16,
}
#: Fields of a request.
MAX_FIELDS: Final = 256
#: Characters of the strings in these fields, and of the names in them.
LONGEST: Final[Mapping[str, int]] = {
    "model": 256,
    "user": 512,
    "stop": 256,
    "metadata": 512,
    "previous_response_id": 256,
    "safety_identifier": 512,
    "prompt_cache_key": 512,
}
#: The highest value of a number. Engines keep so many log probabilities of a token at most.
HIGHEST: Final[Mapping[str, int]] = {"top_logprobs": 20, "logprobs": 20}

#: What a JSON text is taken apart into to see where most of it stands, and how far.
_PARTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_COLON: Final = re.compile(rb"\s*:")
_LOOKED_AT: Final = 64 << 10
#: Values that are looked at before others have their turn.
_SEEN_AT_ONCE: Final = 8_192
_MAX_PARTS: Final = 2_048
_MAX_NAME: Final = 64


def check_size(data: bytes, param: str | None = None) -> Iterator[None]:
    """See that JSON holds no more values than can be read quickly; those in texts are none.

    Args:
        data: JSON, or what claims to be.
        param: the field that it stands in, as text.

    Yields:
        after each millisecond's work or less, so that others can have their turn.

    Raises:
        BadParameter: too many lists and objects, strings, or values.
    """
    quotes = openings = commas = 0
    escape = b""  # what a piece ends with, and the next may say what it means
    for begin in range(0, len(data), _LOOKED_AT):
        piece = escape + data[begin : begin + _LOOKED_AT]
        kept = piece.rstrip(b"\\")
        escape = piece[len(kept) :]
        parts = kept.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[quotes % 2 :: 2])
        quotes += len(parts) - 1
        openings += outside.count(b"[") + outside.count(b"{")
        commas += outside.count(b",")
        if quotes // 2 > MAX_STRINGS:
            raise _too_many(param or _fullest(data), MAX_STRINGS, "strings")
        if openings > MAX_CONTAINERS:
            raise _too_many(param or _fullest(data), MAX_CONTAINERS, "lists and objects")
        if openings + commas >= MAX_VALUES:
            raise _too_many(param or _fullest(data), MAX_VALUES, "values")
        yield


def check_shape(value: Any, depth: int, param: str | None = None) -> Iterator[None]:
    """See that a value is nested at most ``depth`` deep (``[]`` is 1), and holds no list or object
    of more than ``MAX_ITEMS`` items, but for lists of whole numbers.

    Yields:
        as ``check_size``.

    Raises:
        BadParameter: it does not; named is the field of ``value`` where it is an object, else
            ``param``.
    """
    # Level by level, since a walk that recurses would itself be what deep nesting attacks.
    level = [(param, value)] if isinstance(value, (dict, list)) else []
    reached = seen = 0
    while level:
        reached += 1
        if reached > depth:
            place = level[0][0]
            what = f"{place}: nested" if place else "the JSON is nested"
            raise BadParameter(f"{what} deeper than {depth}", place)
        named = reached == 1 and param is None
        inner: list[tuple[str | None, Any]] = []
        for place, node in level:
            if len(node) > MAX_ITEMS:
                if not _whole_numbers(node):
                    raise _too_many(place, MAX_ITEMS, "items")
                continue  # with nothing in them to look into
            inner += [
                (str(key) if named and isinstance(node, dict) else place, child)
                for key, child in (node.items() if isinstance(node, dict) else enumerate(node))
                if isinstance(child, (dict, list))
            ]
            seen += 1 + len(node)
            if seen > _SEEN_AT_ONCE:
                seen = 0
                yield
        level = inner


def check_fields(body: Any) -> None:
    """See that the fields of a request, of whichever API, are no larger than they may be.

    Raises:
        BadParameter: naming the field.
    """
    if not isinstance(body, dict):
        return
    if len(body) > MAX_FIELDS:
        raise _too_many(None, MAX_FIELDS, "fields")
    for name, most in MAX_OF.items():
        value = body.get(name)
        if isinstance(value, (list, dict)) and len(value) > most:
            raise _too_many(name, most, "items")
    for name, longest in LONGEST.items():
        if any(len(text) > longest for text in _strings(body.get(name))):
            raise BadParameter(f"{name}: over {longest:,} characters; shorten it", name)
    for name, highest in HIGHEST.items():
        value = body.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > highest:
            raise BadParameter(f"{name}: must be at most {highest}", name)


def _fullest(data: bytes) -> str | None:
    """The field of an object that most of its JSON stands in, as far as its beginning shows; None
    where it does not."""
    taken, field, depth, end = Counter[bytes](), b"", 0, 0
    for part in islice(_PARTS.finditer(data, 0, _LOOKED_AT), _MAX_PARTS):
        taken[field if depth else b""] += part.end() - end
        end = part.end()
        if part[0] in b"[{":
            depth += 1
        elif part[0] in b"]}":
            depth -= 1
        elif depth == 1 and _COLON.match(data, end):
            field = part[0][1:-1]
    taken[field] += min(len(data), _LOOKED_AT) - end if depth else 0
    name, size = max(taken.items(), key=lambda entry: entry[1], default=(b"", 0))
    if not name or len(name) > _MAX_NAME or 2 * size < sum(taken.values()):
        return None
    return name.decode("utf-8", "replace")


def _too_many(name: str | None, most: int, what: str) -> BadRequest:
    return BadParameter(f"{name or 'the request'}: more than {most:,} {what}; send fewer", name)


def _whole_numbers(node: Sequence[Any] | Mapping[str, Any]) -> bool:
    return isinstance(node, list) and set(map(type, node)) <= {int}


def _strings(value: Any) -> Iterator[str]:
    """The strings that a value is or has in it, the names of its fields among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
    elif isinstance(value, dict):
        yield from value
        yield from (item for item in value.values() if isinstance(item, str))
