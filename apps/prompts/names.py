"""Names of prompts: parts joined by `/`, which are folders. Pure, since files and importers make names too."""

from __future__ import annotations

import re

LONGEST = 200
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
RESERVED = frozenset({"versions", "live", "rollback", "draft", "deployments", "render", "import", "export", "numbers"})
"""Parts of the API's addresses, which no part of a name may be."""
RULE = "Use letters, digits, dots, hyphens and underscores, with / between folders, as in support/answer."


def fault_of(name: str) -> str | None:
    """What is wrong with the name, as a sentence; None for a good one."""
    if not name or len(name) > LONGEST:
        return f"A name has 1 to {LONGEST} characters."
    parts = name.split("/")
    if not all(PART.fullmatch(part) for part in parts):
        return RULE
    reserved = [part for part in parts if part.lower() in RESERVED]
    return f"{reserved[0]} is part of an address here. Choose another name." if reserved else None


def good_name(text: str) -> str:
    """The nearest good name to some text, such as a file's name; `prompt` when nothing of it can be kept."""
    parts = []
    for part in text.replace("\\", "/").split("/"):
        kept = re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-._")
        if kept:
            parts.append(f"{kept}-prompt" if kept.lower() in RESERVED else kept)
    return "/".join(parts)[:LONGEST].strip("/-._") or "prompt"
