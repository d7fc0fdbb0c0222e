"""Server-sent events as the HTML standard defines them, read piece by piece within limits. Only their data is kept."""

from __future__ import annotations

from apps.providers.call_errors import ProviderAnswerTooLarge


class EventReader:
    """Feed it the bytes of a stream as they arrive; it gives the data of every event that is whole.

    Raises ProviderAnswerTooLarge when an event, or a line without an end, is larger than `max_bytes`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._is_first = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece."""
        lines = _lines(self._rest + piece if self._rest else piece)
        self._rest = lines.pop()
        if len(self._rest) > self._max_bytes:
            raise ProviderAnswerTooLarge("an event of the stream", self._max_bytes)
        return [event for line in lines if (event := self._take(line)) is not None]

    def end(self) -> bytes | None:
        """The data of an event whose last line ended but whose empty line is missing, or whose last line is just
        missing its end, when the stream is over."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            self._take(rest.rstrip(b"\r"))
        return self._take(b"")

    def _take(self, line: bytes) -> bytes | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            event = b"\n".join(self._data) if self._data else None
            self._data, self._size = [], 0
            return event
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._size += len(value)
            if self._size > self._max_bytes:
                raise ProviderAnswerTooLarge("an event of the stream", self._max_bytes)
            self._data.append(value)
        return None


def _lines(text: bytes) -> list[bytes]:
    r"""The lines, which end in \n, \r\n or \r; the last one is what has no end yet."""
    if b"\r" in text:
        held = b"\r" if text.endswith(b"\r") else b""  # it may be half of \r\n
        text = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        lines[-1] += held
        return lines
    return text.split(b"\n")
