"""How a prompt stands between here and a branch elsewhere. Pure: it compares, and never decides by who wrote last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from apps.prompts import semver
from apps.prompts.semver import Number


class State(StrEnum):
    """Seen from here: `ahead` has what git lacks, `behind` lacks what git has."""

    IN_SYNC = "in_sync"
    AHEAD = "ahead"
    BEHIND = "behind"
    DIVERGED = "diverged"
    CONFLICT = "conflict"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Ours:
    """A prompt here: its numbers with the hashes of their contents."""

    hashes: Mapping[str, str]
    latest: Number | None = None
    is_archived: bool = False

    @property
    def latest_hash(self) -> str:
        """The hash of the newest version; empty without one."""
        return self.hashes.get(str(self.latest), "")

    def number_of(self, content_hash: str) -> str:
        """The newest number whose content has the hash; empty when there is none."""
        found = [number for number, known in self.hashes.items() if known == content_hash]
        return max(found, key=lambda number: semver.parse(number) or semver.FIRST, default="")


@dataclass(frozen=True, slots=True)
class Theirs:
    """A file of the branch. `agreed` is the newest version it was seen to agree with, or which was the newest when its
    content was taken."""

    path: str
    number: str = ""
    content_hash: str = ""
    problem: str = ""
    agreed: Number | None = None
    taken_hash: str = ""
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """The state, a sentence about it, and whether the file's content is an edit to be taken over."""

    state: State
    sentence: str
    takes: bool = False


NOTHING = Ours({})


def judge(ours: Ours | None, files: Sequence[Theirs]) -> Standing:
    """How a prompt stands. Without one here, there is at least one file."""
    ours = ours or NOTHING
    present = [file for file in files if not file.is_gone]
    if len(present) > 1:
        paths = ", ".join(sorted(file.path for file in present))
        return Standing(State.CONFLICT, f"Several files tell of this prompt: {paths}. Keep one of them.")
    if present:
        return _with_file(ours, present[0])
    if files:
        return Standing(
            State.MISSING, f"The file {files[0].path} was deleted in git. The prompt stays here as it is until you act."
        )
    return Standing(State.AHEAD, f"Git does not have {ours.latest} yet.")


def _with_file(ours: Ours, file: Theirs) -> Standing:
    if file.problem:
        return Standing(State.CONFLICT, f"The file cannot be read: {file.problem}")
    if ours.latest is None:
        return _edit(ours, file)
    if file.number in ours.hashes:
        return _known_number(ours, file)
    if file.content_hash == ours.latest_hash:
        other = f" Git calls it {file.number}." if file.number else ""
        return Standing(State.IN_SYNC, f"Git has {ours.latest}.{other}")
    older = ours.number_of(file.content_hash)
    number = semver.parse(file.number)
    if number is not None and number <= ours.latest:
        return Standing(
            State.CONFLICT,
            f"The file says version {number}, which does not exist here, and {ours.latest} is the newest. "
            "Write a higher number into the file, or take its version line out.",
        )
    if older and number is None:
        return Standing(State.AHEAD, f"Git has the content of {older}; {ours.latest} is newer.")
    return _edit(ours, file)


def _known_number(ours: Ours, file: Theirs) -> Standing:
    """The file bears the number of a version that exists here."""
    if ours.hashes[file.number] == file.content_hash:
        if file.number == str(ours.latest):
            return Standing(State.IN_SYNC, f"Git has {file.number}.")
        return Standing(State.AHEAD, f"Git has {file.number}; {ours.latest} is newer.")
    if file.content_hash == ours.latest_hash:
        return Standing(State.AHEAD, f"Git has the content of {ours.latest} under the number {file.number}.")
    if file.taken_hash == file.content_hash:
        return _taken(ours, file)
    if file.number == str(ours.latest) and file.agreed == ours.latest:
        # Who edits a file seldom thinks of its number. Both sides were the same, so this is an edit of that version.
        return _edit(ours, file)
    return Standing(
        State.CONFLICT,
        f"The file says version {file.number}, but its content is not that of the published {file.number}. "
        "Nothing was overwritten.",
    )


def _edit(ours: Ours, file: Theirs) -> Standing:
    """The file holds a content that was never published here."""
    if file.taken_hash == file.content_hash:
        return _taken(ours, file)
    if ours.is_archived:
        return Standing(State.BEHIND, "Git changed this prompt, which is archived here. Restore it to take the change.")
    if ours.latest is None or file.agreed == ours.latest:
        return Standing(State.BEHIND, "Git has a change that is not here yet.", takes=True)
    since = f"since {file.agreed}" if file.agreed is not None else "and they never agreed"
    return Standing(State.DIVERGED, f"Both sides changed {since}: here it is {ours.latest}, in git another text.")


def _taken(ours: Ours, file: Theirs) -> Standing:
    if file.agreed == ours.latest:
        return Standing(State.BEHIND, "Git's change is a draft here. Publish it, or publish another text.")
    return Standing(State.AHEAD, f"{ours.latest} was published since git's change was taken over.")
