"""Decodes server-sent events (the HTML standard, section 9.2.6) from bytes as they come; no I/O."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLong(ValueError):
    """An event, or a line of one, exceeds the limit."""


class EventDecoder:
    """Feed it what was read; it gives the data of each event that is complete.

    Comments and fields other than ``data`` are dropped, and so is an event that the stream's end
    cuts off. It keeps at most ``limit`` bytes, and looks at every byte once.
    """

    __slots__ = ("_after_return", "_data", "_held", "_limit", "_line", "_started")

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: bytes of one event's data, and of one line.
        """
        self._limit = limit
        self._line = bytearray()  # the line that is not complete yet
        self._data: list[bytes] = []  # data lines of the event that is not complete yet
        self._held = 0  # bytes in them
        self._after_return = False  # a line feed that comes first belongs to the last line's end
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that ``data`` completes.

        Raises:
            EventTooLong: and the decoder is of no use any more.
        """
        if (whole := self._whole(data)) is not None:
            return whole
        if self._after_return and data[:1] == b"\n":
            data = data[1:]
        self._after_return = data[-1:] == b"\r"
        events: list[bytes] = []
        *ended, rest = _LINE_END.split(data)
        for end in ended:
            self._extend(end)
            line, self._line = bytes(self._line), bytearray()
            if not self._started:
                self._started, line = True, line.removeprefix(_BYTE_ORDER_MARK)
            if line:
                self._take(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data, self._held = [], 0
        self._extend(rest)
        return events

    def _whole(self, data: bytes) -> list[bytes] | None:
        """The events of ``data`` if it is nothing but whole ones of one line each, as nearly all
        that is read is; else None."""
        begun = self._line or self._data or self._after_return or not self._started
        if begun or data[-2:] != b"\n\n" or b"\r" in data or len(data) > self._limit:
            return None
        events = data[:-2].split(b"\n\n")
        for event in events:
            if event[:6] != b"data: " or b"\n" in event:
                return None
        return [event[6:] for event in events]

    def _extend(self, part: bytes) -> None:
        if len(self._line) + len(part) > self._limit:
            raise EventTooLong(f"a line of over {self._limit} bytes")
        self._line += part

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field != b"data":
            return
        value = value.removeprefix(b" ")
        self._held += len(value) + 1
        if self._held > self._limit:
            raise EventTooLong(f"an event of over {self._limit} bytes")
        self._data.append(value)
