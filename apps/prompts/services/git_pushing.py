"""Versions that git lacks go there: each on a branch named for it, with the text of a pull request, or straight to the
main branch where the project wants that. Nothing that is there is ever overwritten.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.conf import settings

from apps.prompts.files import own
from apps.prompts.git import importing, requests
from apps.prompts.git.failures import GitFailed
from apps.prompts.git.importing import NewCommit
from apps.prompts.git.program import Access
from apps.prompts.git.repository import NotAccepted, Repository
from apps.prompts.git.requests import Change
from apps.prompts.models import GitFile, GitPush, GitRemote, Version
from apps.prompts.selectors.git import PromptInGit, unpushed
from apps.prompts.services.git_history import author_of, file_of, message_of
from apps.prompts.services.git_reading import MAIN, Held
from apps.prompts.services.git_remotes import note, planned_push

OURS = "refs/heads/prodworthy/"
"""Where branches of ours are, on the other side."""
THEIRS = "refs/remote/prodworthy/"
"""Where they are kept here."""
TOGETHER = 5
"""More prompts than this at once go on one branch together."""


class NotSent(GitFailed):
    """Everything was fetched, and something could not be sent. The text says what."""

    code = "git_not_sent"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A version on its way: its row, its file before and after, and where that is."""

    push: GitPush
    version: Version
    path: str
    text: str
    former_path: str
    former_text: str

    @property
    def commit(self) -> NewCommit:
        """The commit that carries it."""
        name, address = author_of(self.version)
        return NewCommit(
            message=message_of(self.version, self.version.prompt.name),
            author=name,
            address=address,
            at=self.version.published_at,
            writes=((self.path, self.text),),
            deletes=(self.former_path,) if self.former_path not in {"", self.path} else (),
        )

    @property
    def change(self) -> Change:
        """What a request says of it."""
        version, name = self.version, self.version.prompt.name
        project = version.prompt.project.slug
        return Change(
            name=name,
            number=str(version.number),
            note=version.note,
            bump=version.bump,
            reasons=version.bump_reasons,
            before=self.former_text,
            after=self.text,
            path=self.path,
            page=f"{settings.PUBLIC_URL}/p/{project}/prompts/{quote(name)}/-/versions/{version.number}",
            content_hash=version.content_hash,
        )


def push_all(
    held: Held, repository: Repository, access: Access, *, has_branch: bool, heads: dict[str, str], now: datetime
) -> bool:
    """Send everything that is due; whether the main branch was changed by it.

    What cannot be sent does not hold the rest up; raises NotSent for the first of it at the end.
    """
    parcels = _packed(held, now=now)
    is_direct = held.remote.publishing == GitRemote.Publishing.DIRECT or not has_branch
    onto_main = [parcel for parcel in parcels if is_direct and (not parcel.push.is_asked or not has_branch)]
    branches: dict[str, list[Parcel]] = defaultdict(list)
    for parcel in parcels:
        branches[held.remote.branch if parcel in onto_main else parcel.push.branch].append(parcel)
    refused: list[GitFailed] = []
    for branch, together in branches.items():
        try:
            _send(held, repository, access, branch, together, heads, now)
        except GitFailed as error:
            refused.append(error)
    if refused:
        raise NotSent(refused[0].text)
    return bool(onto_main)


def _packed(held: Held, *, now: datetime) -> list[Parcel]:
    """The versions that are to go, each with a row that says so."""
    lines = unpushed(held.remote)
    fresh = [line for line in lines if line.push is None]
    with held.writing() as remote:
        pushes = {line.name: line.push or planned_push(remote, line, now=now) for line in lines}
        for push in pushes.values():
            older = GitPush.objects.filter(remote=remote, version__prompt__versions=push.version_id)
            older.filter(state=GitPush.State.WAITING).exclude(pk=push.pk).update(state=GitPush.State.SUPERSEDED)
        if len(fresh) > TOGETHER:
            ids = ",".join(str(line.latest.pk) for line in fresh if line.latest is not None)
            branch = f"prodworthy/{len(fresh)}-prompts-{hashlib.sha256(ids.encode()).hexdigest()[:8]}"
            for line in fresh:
                pushes[line.name].branch = branch
                pushes[line.name].save(update_fields=["branch"])
    rows = Version.objects.select_related("prompt", "prompt__project", "prompt__owner", "author")
    versions = rows.in_bulk([push.version_id for push in pushes.values()])
    return [_parcel(held.remote, line, pushes[line.name], versions[pushes[line.name].version_id]) for line in lines]


def _parcel(remote: GitRemote, line: PromptInGit, push: GitPush, version: Version) -> Parcel:
    """The version's file. The file in git keeps its place, its comments and its unknown keys."""
    name = version.prompt.name
    file = line.file
    usual = own.path_of(name)
    usual = f"{remote.prefix}/{usual}" if remote.prefix else usual
    if file is None:
        return Parcel(push, version, usual, own.write(file_of(version, name)), "", "")
    base = "" if file.problem else file.text
    text = own.write(file_of(version, name), base or None)
    path = usual if _is_renamed(file, name) else file.path
    return Parcel(push, version, path, text, file.path, file.text)


def _is_renamed(file: GitFile, name: str) -> bool:
    """True when the prompt got another name here, and the file stands where the old one belongs."""
    return bool(file.name) and file.name != name and file.path.endswith(own.path_of(file.name))


def _send(
    held: Held,
    repository: Repository,
    access: Access,
    branch: str,
    parcels: Sequence[Parcel],
    heads: dict[str, str],
    now: datetime,
) -> None:
    """Make the commits on top of the main branch and push them. Raises NotAccepted when another text is there."""
    tip = repository.find(MAIN)
    ref = f"refs/out/{branch}"
    commits = [parcel.commit for parcel in sorted(parcels, key=lambda one: one.version.pk)]
    repository.bring_in(importing.stream(commits, ref=ref, tip=tip))
    commit = repository.find(ref)
    assert commit is not None
    try:
        repository.push(held.remote.url, access, {branch: commit})
    except NotAccepted:
        there = heads.get(branch)
        if branch == held.remote.branch or there is None or not _says_the_same(repository, branch, parcels):
            raise
        commit = there
    with held.writing() as remote:
        _note_sent(remote, branch, commit, parcels, now)


def _says_the_same(repository: Repository, branch: str, parcels: Sequence[Parcel]) -> bool:
    """True when the branch, as it was fetched, has our texts: an earlier push arrived and its answer got lost."""
    tip = repository.find(f"{THEIRS}{branch.removeprefix('prodworthy/')}")
    if tip is None:
        return False
    blobs = {entry.path: entry.blob for entry in repository.files(tip)}
    wanted = [blobs.get(parcel.path, "") for parcel in parcels]
    if not all(wanted):
        return False
    texts = repository.texts(wanted, largest=1024 * 1024)
    return all(texts.get(blob) == parcel.text.encode() for blob, parcel in zip(wanted, parcels, strict=True))


def _note_sent(remote: GitRemote, branch: str, commit: str, parcels: Sequence[Parcel], now: datetime) -> None:
    changes = [parcel.change for parcel in parcels]
    title, body = requests.title_of(changes), requests.body_of(changes)
    for parcel in parcels:
        GitPush.objects.filter(pk=parcel.push.pk).update(
            state=GitPush.State.PUSHED,
            branch=branch,
            commit=commit,
            title=title[:300],
            body=body[:200_000],
            pushed_at=now,
        )
    GitRemote.objects.filter(pk=remote.pk).update(pushed_at=now)
    note(remote, f"{title} is on the branch {branch}, commit {commit[:10]}.", now=now)
