"""Collecting the static files, and leaving it alone when nothing has changed since the last time."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

STAMP = ".collected"


def collect() -> bool:
    """Collect, hash and compress the static files if any of them changed; says whether it did."""
    root = Path(settings.STATIC_ROOT)
    stamp, wanted = root / STAMP, _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    # The mark is set last, so that a collection that was cut off is done again.
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(wanted)
    return True


def _fingerprint() -> str:
    """Changes when a source file is added, removed, resized or touched, or when the way of storing changes."""
    seen = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            seen.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return seen.hexdigest()
