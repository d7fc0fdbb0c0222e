"""Readers of attribute values: each takes whatever a client put there, and gives None where it cannot be read.

None of them raises, whatever the value is.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from apps.providers import names

Read = Callable[[Any], Any]

MAX_PARSED_CHARS = 4_194_304
MAX_REPR_CHARS = 200_000
MAX_EVALUATED_CHARS = 20_000
MAX_LEVELS = 64
"""How deeply a value may be nested; deeper text stays text, since whoever walks through it would run out of stack."""
MOST = 10**12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCRUBBED = "[Scrubbed due to"

_SEPARATORS = re.compile(r"[\s.\-]+")
_decode = msgspec.json.Decoder().decode
_SUFFIX = re.compile(
    r"[./](chat|responses?|completions?|messages|embeddings?|text|image|transcription|speech|language-model)$"
)


def text(value: Any) -> str | None:
    """A text that says something, a number as text; not what a scrubber put in its place."""
    if isinstance(value, str):
        if value[:1] > "[":  # most texts begin with a letter
            return value
        return None if not value or value.isspace() or value.startswith(SCRUBBED) else value
    if isinstance(value, bool) or value is None:
        return None
    return str(value) if isinstance(value, int | float) else None


def unquoted(value: Any) -> str | None:
    """A text, or one in JSON quotes."""
    return text(opened(value)) if isinstance(value, str) and value[:1] == '"' else text(value)


def count(value: Any) -> int | None:
    """A whole number that is not negative, also as text."""
    if isinstance(value, str):
        value = value.strip().strip('"')
        if not value.isascii() or not value.isdigit() or len(value) > 13:
            return None
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST else None


def number(value: Any) -> float | None:
    """A finite number, also as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip().strip('"'))
        except ValueError:
            return None
    if isinstance(value, int | float) and abs(value) < 1e300:
        found = float(value)
        return found if math.isfinite(found) else None
    return None


def milliseconds(value: Any) -> float | None:
    """A length in milliseconds."""
    found = number(value)
    return found if found is not None and 0 <= found <= MOST else None


def seconds(value: Any) -> float | None:
    """A length in seconds, as milliseconds."""
    found = number(value)
    return found * 1000 if found is not None and 0 <= found <= MOST / 1000 else None


def money(value: Any) -> Decimal | None:
    """Dollars, from 0 to a billion."""
    found = number(value)
    if found is None or not 0 <= found <= 10**9:
        return None
    return Decimal(value.strip().strip('"')) if isinstance(value, str) else Decimal(repr(value))


_WORDS = {"true": True, "false": False}


def flag(value: Any) -> bool | None:
    """True or false, also as text in any spelling."""
    if isinstance(value, bool):
        return value
    return _WORDS.get(value.strip('"').lower()) if isinstance(value, str) else None


def texts(value: Any) -> list[str] | None:
    """A list of texts, also as JSON or Python text; a lone text is a list of one."""
    value = opened(value)
    found = [word for word in map(text, value if isinstance(value, list) else [value]) if word]
    return found or None


def instant(value: Any) -> int | None:
    """A moment as nanoseconds since 1970: an ISO time with a zone, also in JSON quotes."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip().strip('"'))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return nanoseconds(moment)


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970."""
    passed = moment - EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000


def opened(value: Any) -> Any:
    """What a text says if it is JSON, or Python's `repr` of a list or dictionary; the value itself otherwise."""
    if not isinstance(value, str) or not value or len(value) > MAX_PARSED_CHARS:
        return value
    first = value[0]
    if first.isspace():
        first = value.lstrip()[:1]
    if first not in '{["tfn-0123456789':
        return value
    try:
        found = _decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = _python(value) if first in "{[" else value
    # Counting is quick, and nearly always enough to know that nothing is nested too deeply.
    if value.count("[") + value.count("{") + value.count("(") > MAX_LEVELS and not _shallow(found):
        return value
    return found


def structured(value: Any) -> Any:
    """A list or dictionary, also one that was sent as JSON or Python text; None for anything else."""
    found = opened(value) if isinstance(value, str) else value
    return found if isinstance(found, list | dict) else None


def mapping(value: Any) -> dict[str, Any] | None:
    """A dictionary, also one that was sent as JSON or Python text."""
    found = structured(value)
    return found if isinstance(found, dict) else None


def content(value: Any) -> Any:
    """An input or output: what the JSON text says if it is a list or dictionary, any other text as it is."""
    if isinstance(value, str):
        if not value or value.startswith(SCRUBBED):
            return None
        found = opened(value) if value[:1] in '{["' or value[:1].isspace() else value
        return found if isinstance(found, list | dict | str) and found != "" else value
    return value


def _python(value: str) -> Any:
    """What a `repr` says, mostly by rewriting it as JSON: Python's own parser is slower and takes more memory."""
    if len(value) > MAX_REPR_CHARS:
        return value
    try:
        return _decode(_REPR.sub(_as_json, value))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, msgspec.MsgspecError, UnicodeError):
        return _evaluated(value)


_REPR = re.compile(
    r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|\b(?:None|True|False)\b|[()]|,(?=\s*[)\]}])""", re.DOTALL
)
_AS_JSON = {"None": "null", "True": "true", "False": "false", "(": "[", ")": "]", ",": ""}


def _as_json(found: re.Match[str]) -> str:
    word = found[0]
    if word in _AS_JSON:
        return _AS_JSON[word]
    if "\\" not in word and (word[0] == '"' or '"' not in word):
        return f'"{word[1:-1]}"'
    return msgspec.json.encode(ast.literal_eval(word)).decode()


def _evaluated(value: str) -> Any:
    if len(value) > MAX_EVALUATED_CHARS:
        return value
    try:
        found = ast.literal_eval(value.strip())
        # A round trip tells whether all of it is JSON by nature: no sets, no bytes, no keys that are not texts.
        return _decode(msgspec.json.encode(found))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, msgspec.MsgspecError, UnicodeError):
        return value


def _shallow(value: Any, levels: int = MAX_LEVELS) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(one, levels - 1) for one in inner if isinstance(one, dict | list))


def is_json(value: Any) -> bool:
    """Whether a value can be written as JSON; lone surrogates, which some parsers let pass, cannot."""
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, UnicodeError, RecursionError, msgspec.MsgspecError):
        return False
    return True


def pick(value: Any, *path: str) -> Any:
    """What lies at a path of names within dictionaries, None if there is nothing."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


_providers: dict[str, str] = {}


def provider(value: Any) -> str | None:
    """The provider as prices are listed under it: `openai.chat`, `OpenAI` and `openai` are one."""
    said = text(value)
    if said is None or len(said) > 64:
        return said
    known = _providers.get(said)
    if known is None:
        known = _provider(said)
        if len(_providers) < 1_000:
            _providers[said] = known
    return known


def _provider(said: str) -> str:
    word = said.strip().lower()
    short = _SUFFIX.sub("", word)
    for spelling in (word, short):
        meant = names.providers_of(spelling)
        if len(meant) == 1 and _SEPARATORS.sub("_", spelling) in names.ALIASES:
            return meant[0]
    return short


FINISHES = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "complete": "stop",
    "finished": "stop",
    "eos": "stop",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "incomplete": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "refusal": "content_filter",
    "error": "error",
    "failed": "error",
    "cancelled": "error",
}
"""What providers call the ends of an answer, and what we call them."""


def finish(value: Any) -> str | None:
    """Why the answer ended, of a list the first reason: stop, tool_calls, length, content_filter or error; a reason
    that is none of them as it was sent."""
    value = opened(value) if isinstance(value, str) and value[:1] in '["' else value
    if isinstance(value, list):
        value = next((one for one in value if text(one)), None)
    said = text(value)
    if said is None:
        return None
    return FINISHES.get(said.strip().lower().replace("-", "_").rpartition(".")[2], said)


def one_of(words: Mapping[str, str]) -> Callable[[Any], str | None]:
    """A reader of texts that mean one of our words."""

    def read(value: Any) -> str | None:
        return words.get(value) if isinstance(value, str) else None

    return read


_ERROR_CLASS = re.compile(r"([A-Za-z_][\w.]{0,120}(?:Error|Exception|Timeout|Interrupt|Exit|Failure))(?:[:(]|$)")


def error_type(message: Any) -> str | None:
    """The class that a message begins with, as in `RateLimitError: too many requests`."""
    found = _ERROR_CLASS.match(message) if isinstance(message, str) else None
    return found[1] if found else None


def with_system(system: Any, messages: Any) -> Any:
    """The messages with the instructions before them, unless they are said there already."""
    parts = system if isinstance(system, list) else [{"type": "text", "content": system}]
    if not isinstance(messages, list):
        asked = [] if messages is None else [{"role": "user", "content": messages}]
        return [{"role": "system", "parts": parts}, *asked]
    if any(isinstance(one, dict) and text(one.get("role")) in {"system", "developer"} for one in messages):
        return messages
    return [{"role": "system", "parts": parts}, *messages]
