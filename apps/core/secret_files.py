"""Secrets in files, made on first use. Knows neither Django nor the settings, which read their own through it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def made_once(file: Path) -> str:
    """The content of the file, created with a new secret if nobody has done so yet (safe against a race).

    A new secret has 384 random bits, in letters, digits, `-` and `_`, and is readable by its owner alone.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(48) + "\n")
        # A hard link appears whole or not at all, and only the first of several starters wins.
        os.link(fresh, file)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    return file.read_text().strip()
