"""Collecting the static files, and leaving it alone when nothing has changed since the last time."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

STAMP = ".collected"
# The framework's own pages, which nothing here shows.
UNUSED = ["rest_framework"]


def collect() -> bool:
    """Collect, hash and compress the static files if any of them changed; says whether it did."""
    root = Path(settings.STATIC_ROOT)
    stamp, wanted = root / STAMP, _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    # The mark is set last, so that a collection that was cut off is done again.
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0, clear=True, ignore_patterns=UNUSED)
    stamp.write_text(wanted)
    return True


def _fingerprint() -> str:
    """Changes when a source file is added, removed, resized or touched, or when the way of storing changes."""
    way = settings.STORAGES["staticfiles"]["BACKEND"].rpartition(".")[0]
    seen = hashlib.sha256(Path(import_module(way).__file__ or "").read_bytes())
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            # Whole seconds: container images do not keep more.
            seen.update(f"{name}\0{found.st_size}\0{int(found.st_mtime)}\n".encode())
    return seen.hexdigest()
