"""What can be done with prompts in git."""

from __future__ import annotations

from apps.prompts.files import own
from apps.prompts.selectors import latest_version
from apps.prompts.selectors.git import PromptInGit
from apps.prompts.services.git_history import file_of, record_behind
from apps.prompts.services.git_local import forget_orphans
from apps.prompts.services.git_remotes import (
    DraftInTheWay,
    NothingToTake,
    Wishes,
    ask_for_sync,
    connect,
    disconnect,
    push_ours,
    take_as_draft,
)
from apps.prompts.services.git_sync import forget_copies, sync
from apps.prompts.services.git_waking import note_published


def text_of(line: PromptInGit) -> str:
    """The newest version here as its file would say it in git; empty without one."""
    latest = latest_version(line.prompt) if line.prompt is not None else None
    if latest is None:
        return ""
    base = line.file.text if line.file is not None and not line.file.problem else None
    return own.write(file_of(latest, latest.prompt.name), base or None)


__all__ = [
    "DraftInTheWay",
    "NothingToTake",
    "Wishes",
    "ask_for_sync",
    "connect",
    "disconnect",
    "forget_copies",
    "forget_orphans",
    "note_published",
    "push_ours",
    "record_behind",
    "sync",
    "take_as_draft",
    "text_of",
]
