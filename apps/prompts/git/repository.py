"""A bare repository on our disk: what is asked of it, what is brought to it, what is sent from it.

Names of refs and paths that come from outside are checked here before git sees them, and never become options.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from apps.prompts.git import program
from apps.prompts.git.failures import NOT_SHOWN, GitFailed
from apps.prompts.git.program import ALONE, Access, Limits

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
FILE_MODES = frozenset({"100644", "100755"})
MOST_PATHS_BYTES = 32 * 1024 * 1024
MOST_PACKS = 64

ASKING = Limits(seconds=30, output_bytes=4 * 1024 * 1024)
FETCHING = Limits(seconds=120, output_bytes=1024 * 1024)
LISTING = Limits(seconds=30, output_bytes=MOST_PATHS_BYTES)


class BadName(GitFailed):
    """A ref or a path that no well-meaning repository has."""

    code, http_status = "git_bad_name", 422


class NotAccepted(GitFailed):
    """The server has something else there, and it is not overwritten."""

    code = "git_not_accepted"
    message = "The branch {branch} changed meanwhile, and nothing is overwritten. It is tried again from what is there."


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit."""

    path: str
    mode: str
    blob: str

    @property
    def is_plain(self) -> bool:
        """False for symbolic links and submodules."""
        return self.mode in FILE_MODES


@dataclass(frozen=True, slots=True)
class CommitLine:
    """Which commit changed something last, and who wrote it."""

    id: str
    author: str
    subject: str


def fault_of_branch(name: str) -> str | None:
    """What is wrong with the name of a branch, as a sentence; None for a good one."""
    if not 0 < len(name) <= 200 or BAD_IN_REF.search(name) or name[0] in "-/." or name[-1] in "/." or name == "@":
        return "This cannot be the name of a branch."
    return None


def fault_of_path(path: str) -> str | None:
    """What is wrong with a file's path inside a repository; None for one that stays inside."""
    parts = PurePosixPath(path).parts
    if not path or len(path) > 1000 or path.startswith(("/", "-")) or path.endswith("/") or "\\" in path:
        return "This cannot be a path in a repository."
    if "//" in path or any(part in {".", ".."} or part.lower() == ".git" for part in path.split("/")) or not parts:
        return "This path leads out of the repository."
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "This path holds characters that cannot be shown."
    return None


def require_id(text: str) -> str:
    """The object's id. Raises BadName for anything else."""
    if not OBJECT_ID.fullmatch(text):
        raise BadName("That is not the id of a commit.")
    return text


@dataclass(frozen=True, slots=True)
class Repository:
    """The bare repository in this directory."""

    directory: Path

    @classmethod
    def made(cls, directory: Path) -> Repository:
        """The repository, made empty where there is none."""
        if not (directory / "HEAD").exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            program.run(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(directory)])
        return cls(directory)

    def remove(self) -> None:
        """Delete it. It holds nothing that is not elsewhere, too."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(
        self,
        *arguments: str,
        given: bytes = b"",
        access: Access = ALONE,
        limits: Limits = program.USUAL,
        allowed_codes: Sequence[int] = (0,),
    ) -> bytes:
        """What git answers in this repository."""
        return program.run(
            arguments,
            directory=self.directory,
            given=given,
            access=access,
            limits=limits,
            allowed_codes=allowed_codes,
        )

    # --- What is here

    def find(self, ref: str) -> str | None:
        """The commit that the ref names; None when there is none."""
        answer = self.ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", allowed_codes=(0, 1, 128)
        )
        found = answer.decode("ascii", "replace").strip()
        return found if OBJECT_ID.fullmatch(found) else None

    def refs(self, below: str) -> dict[str, str]:
        """The refs below a prefix such as `refs/heads/`, without it, and their commits."""
        answer = self.ask("for-each-ref", "--format=%(objectname) %(refname)", "--", below, limits=LISTING)
        lines = (line.partition(" ") for line in answer.decode("utf-8", "replace").splitlines())
        return {name.removeprefix(below): commit for commit, _, name in lines}

    def files(self, commit: str, below: str = "") -> list[Entry]:
        """Every entry of the commit below the folder that is no folder itself."""
        wanted = ["--", f"{below}/"] if below else []
        answer = self.ask("ls-tree", "-r", "-z", "--full-tree", require_id(commit), *wanted, limits=LISTING)
        entries = []
        for line in answer.split(b"\0"):
            about, _, path = line.partition(b"\t")
            parts = about.decode("ascii", "replace").split(" ")
            if len(parts) == 3:
                entries.append(Entry(path.decode("utf-8", "replace"), parts[0], parts[2]))
        return entries

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """The sizes of blobs in bytes."""
        given = "".join(f"{require_id(blob)}\n" for blob in blobs).encode()
        answer = self.ask("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", given=given)
        lines = (line.split(" ") for line in answer.decode("ascii", "replace").splitlines())
        return {parts[0]: int(parts[2]) for parts in lines if len(parts) == 3 and parts[1] == "blob"}

    def texts(self, blobs: Sequence[str], *, largest: int) -> dict[str, bytes]:
        """The contents of blobs that are not larger than `largest` bytes; larger ones are left out."""
        sizes = self.sizes(dict.fromkeys(blobs))
        small = [blob for blob, size in sizes.items() if size <= largest]
        given = "".join(f"{blob}\n" for blob in small).encode()
        most = sum(sizes[blob] for blob in small) + 200 * len(small)
        answer = self.ask("cat-file", "--batch", given=given, limits=Limits(output_bytes=most + 1024))
        found, place = {}, 0
        while place < len(answer):
            end = answer.index(b"\n", place)
            blob, _, size = answer[place:end].decode("ascii", "replace").split(" ")
            place = end + 1 + int(size)
            found[blob] = answer[end + 1 : place]
            place += 1
        return found

    def contains(self, tip: str, commit: str) -> bool:
        """True when the commit is part of the tip's history; false also when it is not known here at all."""
        if self.find(require_id(commit)) is None:
            return False
        answer = self.ask("merge-base", commit, require_id(tip), allowed_codes=(0, 1), limits=ASKING)
        return answer.decode("ascii", "replace").strip() == commit

    def last_change(self, tip: str, path: str) -> CommitLine | None:
        """The last commit up to the tip that touched the path."""
        arguments = ["log", "-1", "--no-show-signature", "--no-textconv", "--no-ext-diff", "--format=%H%x00%an%x00%s"]
        answer = self.ask(*arguments, require_id(tip), "--", path, limits=ASKING)
        parts = NOT_SHOWN.sub(" ", answer.decode("utf-8", "replace").replace("\0", "\n")).strip().split("\n")
        if len(parts) < 3 or not OBJECT_ID.fullmatch(parts[0]):
            return None
        return CommitLine(parts[0], parts[1][:254], parts[2][:300])

    def bring_in(self, stream: bytes) -> None:
        """Carry out a stream for `git fast-import`."""
        self.ask("fast-import", "--quiet", "--done", "--date-format=raw", "--force", given=stream)

    def tidy(self) -> None:
        """Put everything that is reachable into one pack."""
        self.ask("repack", "-a", "-d", "-q", "--no-write-bitmap-index")
        self.ask("pack-refs", "--all")

    # --- What is elsewhere

    def heads(self, url: str, access: Access, *patterns: str) -> dict[str, str]:
        """The branches of a remote and their commits; with patterns (`refs/heads/main`), only those."""
        answer = self.ask(
            "ls-remote", "--heads", "--refs", "--quiet", "--", url, *patterns, access=access, limits=ASKING
        )
        found = {}
        for line in answer.decode("utf-8", "replace").splitlines():
            commit, _, ref = line.partition("\t")
            name = ref.removeprefix("refs/heads/")
            if OBJECT_ID.fullmatch(commit) and fault_of_branch(name) is None:
                found[name] = commit
        return found

    def fetch(self, url: str, access: Access, refspecs: Mapping[str, str]) -> None:
        """Bring branches of a remote to refs here, whatever those held. Raises GitFailed and its kin."""
        if len(list(self.directory.glob("objects/pack/*.pack"))) > MOST_PACKS:
            self.tidy()
        specs = [f"+{source}:{target}" for source, target in refspecs.items()]
        arguments = ["fetch", "--quiet", "--no-tags", "--prune", "--no-recurse-submodules", "--no-write-fetch-head"]
        try:
            self.ask(*arguments, "--", url, *specs, access=access, limits=FETCHING)
        except GitFailed:
            for half in self.directory.glob("objects/pack/tmp_*"):
                half.unlink(missing_ok=True)
            raise

    def push(self, url: str, access: Access, commits: Mapping[str, str]) -> None:
        """Send commits to branches of a remote. Raises NotAccepted; nothing is overwritten there."""
        specs = [f"{require_id(commit)}:refs/heads/{branch}" for branch, commit in commits.items()]
        arguments = ["push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--no-progress"]
        answer = self.ask(*arguments, "--", url, *specs, access=access, limits=ASKING, allowed_codes=(0, 1))
        done = 0
        for line in answer.decode("utf-8", "replace").splitlines():
            flag, _, rest = line.partition("\t")
            branch = rest.partition(":")[2].partition("\t")[0].removeprefix("refs/heads/")
            if flag == "!":
                raise _refusal(branch, rest.rpartition("\t")[2])
            done += flag in {" ", "+", "*", "="} and bool(branch)
        if done < len(specs):
            raise GitFailed("The server did not say that it took the branch.")


def _refusal(branch: str, summary: str) -> GitFailed:
    """What a server means that did not take a branch."""
    if any(words in summary for words in ("[rejected]", "fetch first", "cannot lock ref", "already exists")):
        return NotAccepted(branch=branch)
    reason = NOT_SHOWN.sub(" ", summary.rpartition("(")[2].rstrip(")"))
    return GitFailed(f"The server refused the branch {branch}: {reason[:200]}.")
