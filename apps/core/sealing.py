"""Secrets that must be read again are kept sealed: AES-GCM under a key outside the database, bound to their
place.

The place is part of what is authenticated: a sealed text moved to another row or field does not open. A sealed text
names the key it was made with, so that while keys are exchanged those of both open; `apps.core.resealing` brings the
old ones over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v2"
OLD_VERSION = "v1"
"""Did not name its key."""
NONCE_BYTES = 12


class CannotOpen(ValueError):
    """The text was changed, sealed for another place, or sealed with another key."""


def seal(text: str, *, place: str) -> str:
    """The text, sealed for its place, such as `table:row:field`, with the key that is in use."""
    key = settings.ENCRYPTION_KEY
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = _cipher(key).encrypt(nonce, text.encode(), place.encode())
    return f"{VERSION}.{_key_id(key)}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, place: str) -> str:
    """The text that was sealed for the place, with the key in use or the one before it. Raises CannotOpen."""
    keys, body = _taken_apart(sealed)
    for key in keys:
        try:
            data = base64.urlsafe_b64decode(body)
            return _cipher(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            continue
    raise CannotOpen("this was changed, moved, or sealed with another key")


def is_current(sealed: str) -> bool:
    """True for a text that says it was sealed with the key in use."""
    return sealed.startswith(f"{VERSION}.{_key_id(settings.ENCRYPTION_KEY)}.")


def _taken_apart(sealed: str) -> tuple[list[str], str]:
    """The keys that may open it, and the sealed bytes as text."""
    version, _, body = sealed.partition(".")
    known = [key for key in (settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_OLD) if key]
    if version == OLD_VERSION:
        return known, body
    if version != VERSION:
        raise CannotOpen("this was sealed in a way that is not known")
    key_id, _, body = body.partition(".")
    return [key for key in known if _key_id(key) == key_id], body


def _key_id(key: str) -> str:
    """Tells keys apart and tells nothing of them: they are random."""
    return hashlib.sha256(b"prodworthy key id " + key.encode()).hexdigest()[:8]


def _cipher(key: str) -> AESGCM:
    """The cipher under an encryption key. The key is random, so a plain hash fits it to 256 bits."""
    return AESGCM(hashlib.sha256(b"prodworthy sealing " + key.encode()).digest())
