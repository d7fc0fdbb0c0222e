"""Reads of what is known about prompts in git. Nothing here talks to a server or starts git."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.prompts.git import remotes, requests
from apps.prompts.git.standing import Ours, Standing, State, Theirs, judge
from apps.prompts.models import GitFile, GitNote, GitPush, GitRemote, Prompt, Version

NOTES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class PromptInGit:
    """A prompt, or a file that is of none yet, with how it stands. `push` is the newest version on its way."""

    name: str
    prompt: Prompt | None
    standing: Standing
    files: tuple[GitFile, ...]
    latest: Version | None
    push: GitPush | None

    @property
    def state(self) -> State:
        """The state alone."""
        return self.standing.state

    @property
    def file(self) -> GitFile | None:
        """The one file that the branch has of it."""
        present = [file for file in self.files if file.gone_at is None]
        return present[0] if len(present) == 1 else None

    @property
    def refusal(self) -> str:
        """Why an edit of git was not taken, if it was not."""
        return self.file.refusal if self.file is not None else ""

    @property
    def needs_a_person(self) -> bool:
        """True when nothing goes on by itself."""
        return self.state in {State.CONFLICT, State.DIVERGED, State.MISSING} or bool(self.refusal)


def find_remote(project: Project) -> GitRemote | None:
    """The repository that the project works with."""
    return GitRemote.objects.select_related("project").filter(project=project).first()


def get_remote(project: Project) -> GitRemote:
    """As `find_remote`. Raises NotFound."""
    found = find_remote(project)
    if found is None:
        raise NotFound("This project has no repository. An admin connects one under Prompts, Git.")
    return found


def due_projects(*, now: datetime) -> list[int]:
    """The projects whose repository is to be looked at now and is looked at by nobody."""
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    rows = GitRemote.objects.filter(free, due_at__lte=now).order_by("due_at")
    return list(rows.values_list("project_id", flat=True)[:200])


def list_notes(remote: GitRemote, limit: int = NOTES_SHOWN) -> list[GitNote]:
    """What happened lately, newest first."""
    return list(GitNote.objects.filter(remote=remote).order_by("-id")[:limit])


def list_pushes(remote: GitRemote, limit: int = 50) -> list[GitPush]:
    """What is on its way to git, newest first."""
    rows = GitPush.objects.select_related("version", "version__prompt").filter(remote=remote)
    return list(rows.filter(state__in=["waiting", "pushed"])[:limit])


def in_git(remote: GitRemote, *, prompt: Prompt | None = None) -> list[PromptInGit]:
    """How every prompt stands, or only this one; prompts without a version and a file are left out."""
    files = GitFile.objects.filter(remote=remote)
    prompts = Prompt.objects.select_related("project", "owner").filter(project_id=remote.project_id)
    if prompt is not None:
        files, prompts = files.filter(prompt=prompt), prompts.filter(pk=prompt.pk)
    of: dict[int, list[GitFile]] = defaultdict(list)
    strangers: list[GitFile] = []
    for file in files.select_related("agreed").order_by("path"):
        if file.prompt_id is not None:
            of[file.prompt_id].append(file)
        elif file.gone_at is None:
            strangers.append(file)
    versions = _versions(remote, prompt)
    pushes = _pushes(remote, prompt)
    lines = [_line(one, of[one.pk], versions.get(one.pk, []), pushes) for one in prompts]
    lines += [_stranger(name, group) for name, group in _by_name(strangers)]
    return sorted((line for line in lines if line is not None), key=lambda line: line.name)


def _versions(remote: GitRemote, prompt: Prompt | None) -> dict[int, list[Version]]:
    """The versions by prompt, newest first, without what they say."""
    rows = Version.objects.filter(project_id=remote.project_id).order_by("prompt_id", "-major", "-minor", "-patch")
    if prompt is not None:
        rows = rows.filter(prompt=prompt)
    found: dict[int, list[Version]] = defaultdict(list)
    for row in rows.only("id", "uuid", "prompt_id", "major", "minor", "patch", "content_hash", "commit_id", "origin"):
        found[row.prompt_id].append(row)
    return found


def _pushes(remote: GitRemote, prompt: Prompt | None) -> dict[int, GitPush]:
    """The push of each version that has one."""
    rows = GitPush.objects.filter(remote=remote)
    if prompt is not None:
        rows = rows.filter(version__prompt=prompt)
    return {row.version_id: row for row in rows.defer("body")}


def _line(
    prompt: Prompt, files: list[GitFile], versions: list[Version], pushes: dict[int, GitPush]
) -> PromptInGit | None:
    latest = versions[0] if versions else None
    present = [file for file in files if file.gone_at is None]
    if not present and (latest is None or prompt.archived_at is not None):
        return None
    hashes = {str(version.number): version.content_hash for version in reversed(versions)}
    ours = Ours(hashes, latest.number if latest else None, prompt.archived_at is not None)
    # A file that moved leaves its old place behind as gone; that is no deletion.
    told = present or files
    push = pushes.get(latest.pk) if latest is not None else None
    return PromptInGit(prompt.name, prompt, judge(ours, [theirs(file) for file in told]), tuple(told), latest, push)


def _by_name(files: Iterable[GitFile]) -> list[tuple[str, list[GitFile]]]:
    groups: dict[str, list[GitFile]] = defaultdict(list)
    for file in files:
        groups[file.name or file.path].append(file)
    return list(groups.items())


def _stranger(name: str, files: list[GitFile]) -> PromptInGit:
    return PromptInGit(name, None, judge(None, [theirs(file) for file in files]), tuple(files), None, None)


def theirs(file: GitFile) -> Theirs:
    """The row as the comparison wants it."""
    return Theirs(
        path=file.path,
        number=file.number,
        content_hash=file.content_hash,
        problem=file.problem,
        agreed=file.agreed.number if file.agreed is not None else None,
        taken_hash=file.taken_hash,
        is_gone=file.gone_at is not None,
    )


def get_in_git(remote: GitRemote, prompt: Prompt) -> PromptInGit | None:
    """How this prompt stands; None when neither side has anything of it."""
    return next(iter(in_git(remote, prompt=prompt)), None)


def get_line(remote: GitRemote, name: str) -> PromptInGit:
    """How the prompt, or the file, of this name stands. Raises NotFound."""
    for line in in_git(remote):
        if line.name == name:
            return line
    raise NotFound(f"Neither side has a prompt {name}.")


def request_link(remote: GitRemote, push: GitPush) -> str:
    """Where to open a pull request for the branch; empty where the host is not known, or there is no branch."""
    if not push.branch or push.branch == remote.branch or push.state != GitPush.State.PUSHED:
        return ""
    return requests.compare_link(remotes.split(remote.url), remote.branch, push.branch)


def unpushed(remote: GitRemote) -> list[PromptInGit]:
    """What goes to git by itself: prompts that are ahead and whose newest version was never on its way; and what a
    person asked for.
    """
    return [
        line
        for line in in_git(remote)
        if line.latest is not None and line.prompt is not None and line.prompt.archived_at is None and _goes(line)
    ]


def _goes(line: PromptInGit) -> bool:
    if line.push is not None:
        return line.push.state == GitPush.State.WAITING
    return line.state is State.AHEAD
