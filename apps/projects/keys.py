"""API keys as text: making, checking and hashing them. Free of the database.

A key is `pw_<kind>_<place>_<27 random characters>_<checksum>`. The kind tells a reader the most it can do,
the place whether it belongs to a public installation (`live`) or to one on somebody's own machine (`local`).
27 characters of 62 hold 160 bits. The checksum, a CRC-32 over everything before it, turns typing errors away
before any look-up and lets secret scanners tell a key from a word. Because a key is random, a fast hash is
enough: HMAC-SHA-256 under a pepper that is not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Collection

from apps.core.ids import base62, random_base62
from apps.projects.types import Scope

PRODUCT = "pw"
RANDOM_LENGTH = 27
CHECKSUM_LENGTH = 6
VISIBLE_RANDOM = 8
SHAPE = re.compile(
    rf"{PRODUCT}_(?:ingest|read|gateway|admin)_(?:live|local)_[0-9A-Za-z]{{{RANDOM_LENGTH}}}"
    rf"_[0-9A-Za-z]{{{CHECKSUM_LENGTH}}}",
    re.ASCII,
)


def kind_of(scopes: Collection[str]) -> str:
    """The word for the most a key with these scopes can do: admin (change things), gateway, read or ingest."""
    given = set(scopes)
    if given & {Scope.ADMIN, Scope.PROMOTIONS, Scope.PROMPTS_WRITE, Scope.EVALS}:
        return "admin"
    if Scope.GATEWAY in given:
        return "gateway"
    return "read" if given & {Scope.READ, Scope.PROMPTS_READ} else "ingest"


def make(*, kind: str, place: str) -> str:
    """A new key."""
    body = f"{PRODUCT}_{kind}_{place}_{random_base62(RANDOM_LENGTH)}"
    return f"{body}_{checksum(body)}"


def checksum(body: str) -> str:
    """CRC-32 of the text in base 62, six characters."""
    return base62(zlib.crc32(body.encode("ascii")), CHECKSUM_LENGTH)


def is_well_formed(key: str) -> bool:
    """True when the text has the shape of a key and its checksum is right."""
    if not SHAPE.fullmatch(key):
        return False
    body, _, check = key.rpartition("_")
    return hmac.compare_digest(check, checksum(body))


def looks_like_a_key(text: str) -> bool:
    """True for anything that begins like one of ours, right or not."""
    return text.startswith(f"{PRODUCT}_")


def visible_prefix(key: str) -> str:
    """The part that is kept in the clear and shown in lists: everything up to the first eight random
    characters.
    """
    head, _, _ = key.rpartition("_")
    return head[: len(head) - RANDOM_LENGTH + VISIBLE_RANDOM]


def fingerprint(key: str, *, pepper: str) -> bytes:
    """What the database keeps instead of the key: 32 bytes."""
    return hmac.digest(pepper.encode(), key.encode("utf-8", "surrogateescape"), hashlib.sha256)
