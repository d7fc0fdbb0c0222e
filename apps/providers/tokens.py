"""How many tokens a text has for a model, and how many the model takes, without asking anybody.

OpenAI's models are counted with their own vocabulary, by tiktoken. The vocabularies come as files of the litellm
package (which is not imported); their SHA-256 is compared before they are used, and nothing is ever fetched. Other
providers do not publish their vocabularies: their counts are estimates and say so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.providers import price_file
from apps.providers.names import ways_to_read

if TYPE_CHECKING:
    import tiktoken

CHUNK = 64 * 1024
"""Characters counted at a time; tiktoken's time for one unbroken word grows faster than its length."""
TOKENS_PER_MESSAGE, TOKENS_PER_NAME, TOKENS_OF_REPLY = 3, 1, 3
"""What a chat request adds: each message, each name in one, and the beginning of the answer. From OpenAI's cookbook,
"How to count tokens with tiktoken", for gpt-3.5-turbo, gpt-4, gpt-4o and later. Others are taken to be alike."""
CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English ("What are tokens and how to count them?")."""
USUAL = "o200k_base"
"""The vocabulary that estimates are made with: a count with another model's vocabulary is closer than characters."""


class Method(StrEnum):
    """How a count came about."""

    EXACT = "exact"
    """With the model's own vocabulary."""
    ESTIMATE = "estimate"
    """With another vocabulary, or from the number of characters."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens, and whether it is sure."""

    tokens: int
    method: Method


class _Vocabulary(NamedTuple):
    """A file as tiktoken looks for it: its name is the SHA-1 of the address it is published at."""

    file: str
    sha256: str


_VOCABULARIES = {
    "cl100k_base": _Vocabulary(
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    ),
    "o200k_base": _Vocabulary(
        "fb374d419588a4632f3f557e76b4b70aebbca790", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    ),
}
_VOCABULARIES["o200k_harmony"] = _VOCABULARIES["o200k_base"]


# --- Counting -----------------------------------------------------------------------------------------------------


def count(text: str, model: str) -> TokenCount:
    """The tokens of a text for a model, named as `gpt-4o` or `connection/gpt-4o`.

    The first call takes some 0.5 s to load a vocabulary; then 256 KiB take some 0.1 s. Safe to call from any thread.
    """
    name = _vocabulary_of(model)
    encoding = _vocabularies.get(name or USUAL)
    if encoding is None:
        return TokenCount(_by_characters(text), Method.ESTIMATE)
    tokens = sum(len(encoding.encode_ordinary(text[at : at + CHUNK])) for at in range(0, len(text), CHUNK))
    return TokenCount(tokens, Method.EXACT if name else Method.ESTIMATE)


def count_messages(
    messages: Sequence[Mapping[str, Any]], model: str, *, tools: Sequence[Mapping[str, Any]] = ()
) -> TokenCount:
    """The input tokens of a chat request in OpenAI's shape, with what each message adds.

    Tools and parts that are not text are counted by their JSON, which makes the count an estimate.
    """
    tokens, is_exact = (TOKENS_OF_REPLY if messages else 0), True
    for message in messages:
        tokens += TOKENS_PER_MESSAGE + (TOKENS_PER_NAME if message.get("name") else 0)
        for value in message.values():
            if value is None:
                continue
            is_exact &= isinstance(value, str)
            counted = count(value if isinstance(value, str) else _as_json(value), model)
            tokens += counted.tokens
            is_exact &= counted.method is Method.EXACT
    if tools:
        tokens += count(_as_json(list(tools)), model).tokens
        is_exact = False
    return TokenCount(tokens, Method.EXACT if is_exact else Method.ESTIMATE)


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _by_characters(text: str) -> int:
    """A quarter of the characters of scripts that are written with letters, and every character of others: a sign of
    Chinese or Japanese is about a token."""
    dense = sum(1 for sign in text if ord(sign) >= 0x2E80)
    return -(-(len(text) - dense) // CHARACTERS_PER_TOKEN) + dense


def _vocabulary_of(model: str) -> str | None:
    """The vocabulary of a model of OpenAI's; None for any other model."""
    from tiktoken.model import encoding_name_for_model

    name = model.strip().lower().rpartition("/")[2]
    try:
        vocabulary = encoding_name_for_model(name)
    except KeyError:
        return None
    return vocabulary if vocabulary in _VOCABULARIES else None


class _Vocabularies:
    """Those loaded so far; None for one that is not there as it must be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, tiktoken.Encoding | None] = {}

    def get(self, name: str) -> tiktoken.Encoding | None:
        if name not in self._loaded:
            with self._lock:
                if name not in self._loaded:
                    self._loaded[name] = _load(name)
        return self._loaded[name]


_vocabularies = _Vocabularies()


def _load(name: str) -> tiktoken.Encoding | None:
    import tiktoken

    folder = _folder()
    wanted = _VOCABULARIES[name]
    # tiktoken would remove a file that differs and fetch another, so it only gets to see a right one.
    if folder is None or not _is_right(folder / wanted.file, wanted.sha256):
        return None
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def _folder() -> Path | None:
    """Where the installed litellm package keeps vocabularies."""
    spec = importlib.util.find_spec("litellm")
    for place in (spec.submodule_search_locations if spec else None) or []:
        folder = Path(place) / "litellm_core_utils" / "tokenizers"
        if folder.is_dir():
            return folder
    return None


def _is_right(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


# --- Context windows ----------------------------------------------------------------------------------------------


def context_window(model: str) -> int | None:
    """The most input tokens of a model, as LiteLLM's price file lists it; None when it is not listed.

    `connection/model` is looked up as it is, then without the connection. A wrong guess costs a hint, not money.
    """
    sizes = _windows.sizes()
    for name in dict.fromkeys((model, model.partition("/")[2])):
        for candidates in ways_to_read(None, name) if name else ():
            for candidate in candidates:
                if candidate.name in sizes:
                    return sizes[candidate.name]
    return None


class _Windows:
    """The sizes in the price file, read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[str, int] | None = None

    def sizes(self) -> dict[str, int]:
        with self._lock:
            if self._sizes is None:
                self._sizes = _read_sizes()
            return self._sizes


_windows = _Windows()


def _read_sizes() -> dict[str, int]:
    try:
        data = json.loads(price_file.read(price_file.installed_file().path))
    except (price_file.PriceFileError, ValueError):
        return {}
    sizes = {}
    for name, entry in data.items() if isinstance(data, dict) else ():
        most = entry.get("max_input_tokens") if isinstance(entry, dict) else None
        if isinstance(most, int) and most > 0 and name != price_file.EXAMPLE_ENTRY:
            sizes[name.lower()] = most
    return sizes
