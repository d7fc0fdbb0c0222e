"""What a dialect may say of itself: which attribute gives which field, read how, and what is to be mended at the end.

A dialect is one module with one `DIALECT`. A field is taken from the first source that has it: sources are ordered by
`rank`, then by the order of the dialects, then by their order within a dialect. So a dialect needs a rank only where
it must come before or after others. All of this is put into one dictionary by attribute name when the module loads;
reading a span is then one pass over its attributes.

Fields are those of `apps.telemetry.reading.Reading`, and these, which the reader makes into others:

- `system`: system instructions sent apart from the messages; put before the input.
- `ttft_at`: the moment of the first chunk, in nanoseconds since 1970.
- `ttft_if_streamed_ms`: a first-token time that is also sent for calls that were not streamed.
- `total_tokens`: gives the output where only input and total were sent.
- `event_input`, `event_output`: messages that came as events of the span, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from apps.telemetry.otlp import OtlpEvent, OtlpSpan
from apps.telemetry.reading import ScoreReading

USUAL = 50
"""The rank of a source that does not say another; a lower one is taken first."""

Convert = Callable[[Any], Any]
"""The value of a field, or None where the attribute's value cannot be read as one. Never raises."""


class Source(NamedTuple):
    """One attribute that gives one field. It is left among the attributes where it was not read, or if `keep`."""

    attribute: str
    field: str
    convert: Convert
    rank: int = USUAL
    keep: bool = False


class Several(NamedTuple):
    """One attribute that gives several fields: `read` returns them by name. It is not left among the attributes,
    unless nothing was read or `keep`."""

    attribute: str
    read: Callable[[Any], Mapping[str, Any]]
    rank: int = USUAL
    keep: bool = False


class Family(NamedTuple):
    """Attributes that together are one value, such as `llm.input_messages.0.message.role`: `build` gets the pairs of
    what follows the prefix and the value, and returns fields by name. What it returns under `attributes` (by full
    name) is left among the attributes; the rest of the family is not."""

    prefix: str
    build: Callable[[list[tuple[str, Any]]], Mapping[str, Any]]
    rank: int = USUAL


class Metadata(NamedTuple):
    """A prefix under which callers put keys of their own, such as `langfuse.trace.metadata.`; `convert` opens a value.

    The keys of `metadata.KEYS` give fields; whatever was not read is left among the attributes."""

    prefix: str
    convert: Convert | None = None
    rank: int = USUAL


class Draft:
    """A span while it is read: the fields found so far, and the attributes that were not understood."""

    __slots__ = ("attributes", "fields", "flags", "left", "origins", "ranks", "repeats", "scores", "span")

    def __init__(self, span: OtlpSpan) -> None:
        self.span = span
        self.attributes: Mapping[str, Any] = span.attributes
        self.fields: dict[str, Any] = {}
        self.ranks: dict[str, int] = {}
        self.origins: dict[str, str] = {}
        self.left: dict[str, Any] = {}
        self.scores: list[ScoreReading] = []
        self.flags: set[str] = set()
        self.repeats = False

    @property
    def kind(self) -> str | None:
        """The kind found so far, None if no attribute said one."""
        return self.fields.get("kind")

    def get(self, field: str) -> Any:
        """The value of a field, None if not said."""
        return self.fields.get(field)

    def set(self, field: str, value: Any) -> None:
        """Say what a field is, whatever was found; None takes it away. The attribute it came from is left as sent."""
        origin = self.origins.pop(field, None)
        if origin is not None and origin in self.attributes:
            self.left.setdefault(origin, self.attributes[origin])
        if value is None:
            self.fields.pop(field, None)
        else:
            self.fields[field] = value

    def add(self, field: str, value: Any) -> None:
        """Say what a field is if nothing else did."""
        if value is not None and field not in self.fields:
            self.fields[field] = value


class Dialect(NamedTuple):
    """One way of naming things.

    `events` are handlers by event name; a name that ends in `*` is a prefix. A handler returns False for an event that
    it did not understand: that one is kept among the attributes. `marks` are attribute names, and `scopes` beginnings
    of scope names; if a span has one of them, `finish` is called when all attributes were read. It may change anything,
    above all the kind.
    """

    name: str
    sources: tuple[Source, ...] = ()
    several: tuple[Several, ...] = ()
    families: tuple[Family, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    events: Mapping[str, Callable[[Draft, OtlpEvent], bool]] = {}
    marks: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    finish: Callable[[Draft], None] | None = None
