"""The text of a pull request for a version, and where to open one. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from apps.prompts.git.remotes import RemoteUrl

MOST_LINES = 300
LONGEST_TITLE = 120
NO_EVAL = "No eval result yet."


@dataclass(frozen=True, slots=True)
class Change:
    """What a request is about: a version and its file before and after."""

    name: str
    number: str
    note: str
    bump: str
    reasons: Sequence[str]
    before: str
    after: str
    path: str
    page: str
    content_hash: str


def title_of(changes: Sequence[Change]) -> str:
    """The request's title."""
    if len(changes) != 1:
        return f"Publish {len(changes)} prompts"
    note = changes[0].note.strip().partition("\n")[0]
    title = f"{changes[0].name} {changes[0].number}" + (f": {note}" if note else "")
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"


def body_of(changes: Sequence[Change]) -> str:
    """The request's text in Markdown: what and why, the step with its reasons, the eval result, the difference."""
    return "\n\n".join(_section(change) for change in changes) + "\n"


def _section(change: Change) -> str:
    reasons = "\n".join(f"- {reason}" for reason in change.reasons)
    note = change.note.strip()
    diff, left = _difference(change)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", diff)), default=0))
    more = f"\n\n{left:,} more lines are in the commit." if left else ""
    parts = [
        f"## {change.name} {change.number}",
        note,
        f"**Step:** {change.bump}\n\n{reasons}" if reasons else f"**Step:** {change.bump}",
        f"**Eval result:** {NO_EVAL}",
        f"{fence}diff\n{diff}{fence}{more}",
        f"[Version in Prodworthy]({change.page}) · content `{change.content_hash[:12]}`",
    ]
    return "\n\n".join(part for part in parts if part)


def _difference(change: Change) -> tuple[str, int]:
    """The unified difference of the file, cut to a readable length, and how many lines were cut."""
    old, new = change.before.splitlines(), change.after.splitlines()
    lines = list(difflib.unified_diff(old, new, f"a/{change.path}", f"b/{change.path}", lineterm=""))
    return "".join(f"{line}\n" for line in lines[:MOST_LINES]), max(0, len(lines) - MOST_LINES)


def compare_link(remote: RemoteUrl, base: str, branch: str) -> str:
    """Where to open the request, for hosts that are known; empty for others."""
    web, into, of = remote.web, quote(base, safe="/"), quote(branch, safe="/")
    host = remote.host
    if host == "github.com" or "github" in host:
        return f"{web}/compare/{into}...{of}?expand=1"
    if host == "gitlab.com" or "gitlab" in host:
        source, target = quote(branch, safe=""), quote(base, safe="")
        return (
            f"{web}/-/merge_requests/new?merge_request%5Bsource_branch%5D={source}"
            f"&merge_request%5Btarget_branch%5D={target}"
        )
    if host == "codeberg.org" or any(word in host for word in ("gitea", "forgejo")):
        return f"{web}/compare/{into}...{of}"
    if host == "bitbucket.org":
        return f"{web}/pull-requests/new?source={quote(branch, safe='')}&dest={quote(base, safe='')}"
    return ""
