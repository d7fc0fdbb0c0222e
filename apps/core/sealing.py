"""Secrets that must be read again are kept sealed: AES-GCM under a key outside the database, bound to their
place.

The place is part of what is authenticated: a sealed text moved to another row or field does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
NONCE_BYTES = 12


class CannotOpen(ValueError):
    """The text was changed, sealed for another place, or sealed with another key."""


def _cipher() -> AESGCM:
    """The cipher under the installation's encryption key. The key is random, so a plain hash fits it to 256
    bits.
    """
    return AESGCM(hashlib.sha256(b"prodworthy sealing " + settings.ENCRYPTION_KEY.encode()).digest())


def seal(text: str, *, place: str) -> str:
    """The text, sealed for its place, such as `table:row:field`."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = _cipher().encrypt(nonce, text.encode(), place.encode())
    return f"{VERSION}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, place: str) -> str:
    """The text that was sealed for the place. Raises CannotOpen."""
    version, _, body = sealed.partition(".")
    if version != VERSION:
        raise CannotOpen("this was sealed in a way that is not known")
    try:
        data = base64.urlsafe_b64decode(body)
        return _cipher().decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise CannotOpen("this was changed, moved, or sealed with another key") from error
