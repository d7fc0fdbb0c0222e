"""The words of prompts that pass between modules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """Whether a prompt is one text or a conversation."""

    TEXT = "text"
    CHAT = "chat"


class Syntax(StrEnum):
    """The template language of a prompt."""

    MUSTACHE = "mustache"
    JINJA = "jinja"


class VariableType(StrEnum):
    """What a variable's value must be. `messages` is a list of messages that a placeholder puts in its place."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    OBJECT = "object"
    MESSAGES = "messages"


class Bump(StrEnum):
    """Which part of a version counts up, from the smallest step to the largest."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"

    @property
    def rank(self) -> int:
        """0 for patch up to 2 for major."""
        return list(Bump).index(self)


class Origin(StrEnum):
    """Where a version came from."""

    EDITOR = "editor"
    API = "api"
    GIT = "git"
    IMPORT = "import"
    PLAYGROUND = "playground"
    SAMPLE = "sample"


class EvidenceKind(StrEnum):
    """What lets a version into a protected environment: a promotion, or that it was live there before."""

    PROMOTION = "promotion"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What lets a version into a protected environment: the promotion, or the deployment that it returns to. The
    database looks at it, too."""

    kind: EvidenceKind
    id: UUID
