"""Logs of the parts: one file each under `var/log`, turned over when a part starts and the file has grown large."""

from __future__ import annotations

from pathlib import Path

LARGEST_BYTES = 10 * 1024 * 1024
KEPT = 3


def rotate(log: Path, *, largest: int = LARGEST_BYTES) -> None:
    """Move a log larger than this to `.1`, what was there to `.2`, and so on; the oldest goes."""
    if not log.exists() or log.stat().st_size <= largest:
        return
    for number in range(KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)
