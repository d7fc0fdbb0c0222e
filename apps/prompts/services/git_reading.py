"""What the remote branch says becomes rows, and its edits become drafts or versions. Nothing is ever made live here.

Each step is a transaction of its own that first asks whether the lease is still held.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.core.errors import Conflict, DomainError
from apps.projects.selectors import find_member
from apps.projects.types import Actor
from apps.prompts import names, semver
from apps.prompts.content import Content, content_hash
from apps.prompts.files import own
from apps.prompts.files.own import PromptFile
from apps.prompts.files.problems import BadFile
from apps.prompts.git import remotes
from apps.prompts.git.failures import GitFailed
from apps.prompts.git.repository import Entry, Repository, fault_of_path
from apps.prompts.git.standing import State
from apps.prompts.models import GitFile, GitPush, GitRemote, Prompt, Version
from apps.prompts.selectors.git import PromptInGit, in_git
from apps.prompts.services.git_remotes import draft_from_git, note
from apps.prompts.services.prompts import change_prompt, create_prompt, rename_prompt
from apps.prompts.services.publishing import publish
from apps.prompts.types import Origin

MAIN = "refs/remote/main"
MOST_FILES = 2_000
LARGEST_FILE = 256 * 1024
MOST_ASKED_COMMITS = 50
"""Where more files changed at once, all are said to come from the newest commit."""
LONGEST = 600


class LostLease(Conflict):
    """Somebody else works on this by now, or the settings changed."""

    code, message = "git_lost_lease", "Somebody else went on with this."


@dataclass(frozen=True, slots=True)
class Held:
    """A remote and the lease under which it is worked on."""

    remote: GitRemote
    lease: uuid.UUID

    @contextmanager
    def writing(self) -> Iterator[GitRemote]:
        """A transaction with the remote's row locked. Raises LostLease when the lease is no longer ours."""
        with transaction.atomic():
            row = GitRemote.objects.select_for_update().filter(pk=self.remote.pk, lease=self.lease).first()
            if row is None:
                raise LostLease
            row.project = self.remote.project
            yield row

    @property
    def actor(self) -> Actor:
        """In whose name edits of git are taken over."""
        return Actor(kind="system", id=None, name=f"git ({remotes.split(self.remote.url).host})")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of the branch as it was read just now."""

    entry: Entry
    commit: str
    author: str
    subject: str
    text: str
    told: PromptFile | None
    problem: str


def below(remote: GitRemote, path: str) -> str:
    """The path within the remote's folder."""
    return path.removeprefix(f"{remote.prefix}/") if remote.prefix else path


def prompt_entries(remote: GitRemote, repository: Repository, commit: str) -> list[Entry]:
    """The prompt files of the commit. Raises GitFailed for far too many."""
    entries = [
        entry
        for entry in repository.files(commit, remote.prefix)
        if entry.path.endswith(own.ENDINGS) and fault_of_path(entry.path) is None
    ]
    if len(entries) > MOST_FILES:
        raise GitFailed(f"The branch has more than {MOST_FILES:,} prompt files. Name a folder of it.")
    return entries


def read_changed(remote: GitRemote, repository: Repository, commit: str, entries: Sequence[Entry]) -> list[Seen]:
    """The files whose content is not the one in the rows, read and understood."""
    known = dict(GitFile.objects.filter(remote=remote, gone_at=None).values_list("path", "blob"))
    changed = [entry for entry in entries if known.get(entry.path) != entry.blob]
    wanted = [entry.blob for entry in changed if entry.is_plain]
    texts = repository.texts(wanted, largest=LARGEST_FILE) if wanted else {}
    seen = []
    for entry in changed:
        line = repository.last_change(commit, entry.path) if len(changed) <= MOST_ASKED_COMMITS else None
        about = (line.id, line.author, line.subject) if line is not None else (commit, "", "")
        text, told, problem = _understood(remote, entry, texts.get(entry.blob))
        seen.append(Seen(entry, *about, text, told, problem))
    return seen


def _understood(remote: GitRemote, entry: Entry, data: bytes | None) -> tuple[str, PromptFile | None, str]:
    """The file's text, the prompt in it, and what is wrong with it."""
    if not entry.is_plain:
        return "", None, "It is a symbolic link or a submodule, which are not followed."
    if data is None:
        return "", None, f"It is larger than {LARGEST_FILE // 1024} KiB."
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "", None, "It is not text in UTF-8."
    if "\0" in text:
        return "", None, "It holds NUL characters."
    try:
        told = own.read(text, default_name=own.name_of(below(remote, entry.path)))
    except BadFile as error:
        return text, None, error.text
    fault = names.fault_of(told.name)
    return text, (told if fault is None else None), "" if fault is None else f"name: {fault}"


def store(held: Held, commit: str, entries: Sequence[Entry], seen: Sequence[Seen], *, now: datetime) -> None:
    """Write down what the branch has: changed files, and which are gone."""
    with held.writing() as remote:
        present = {entry.path for entry in entries}
        before = dict(GitFile.objects.filter(remote=remote).values_list("path", "text"))
        for one in seen:
            _store_file(remote, one, now)
        gone = GitFile.objects.filter(remote=remote, gone_at=None).exclude(path__in=present)
        for path in gone.values_list("path", flat=True):
            note(remote, f"{path} is gone from {remote.branch}.", now=now)
        gone.update(gone_at=now)
        _assign(remote)
        if remote.edits == GitRemote.Edits.VERSIONS:
            for one in seen:
                _describe(held, one, before.get(one.entry.path, ""), now)
        GitRemote.objects.filter(pk=remote.pk).update(seen_commit=commit)


def _store_file(remote: GitRemote, seen: Seen, now: datetime) -> None:
    told = seen.told
    values = {
        "project_id": remote.project_id,
        "blob": seen.entry.blob,
        "commit": seen.commit,
        "author": seen.author,
        "subject": seen.subject,
        "text": seen.text,
        "problem": seen.problem[:LONGEST],
        "refusal": "",
        "changed_at": now,
        "gone_at": None,
    }
    if told is not None:
        values |= {"name": told.name, "number": told.version, "content_hash": content_hash(told.content)}
    GitFile.objects.update_or_create(remote=remote, path=seen.entry.path, defaults=values)


def _describe(held: Held, seen: Seen, before: str, now: datetime) -> None:
    """Take over the description and tags that git changed, unless they were changed here as well."""
    file = GitFile.objects.select_related("prompt").get(remote=held.remote, path=seen.entry.path)
    if seen.told is None or file.prompt is None or not before:
        return
    try:
        was = own.read(before, default_name=seen.told.name)
    except BadFile:
        return
    told, ours = (seen.told.description, seen.told.tags), (file.prompt.description, tuple(file.prompt.tags))
    if told == (was.description, was.tags) or ours != (was.description, was.tags):
        return
    try:
        with transaction.atomic():
            change_prompt(
                prompt=file.prompt,
                actor=held.actor,
                now=now,
                description=seen.told.description,
                tags=seen.told.tags,
                keeps_owner=True,
            )
    except DomainError as error:
        note(held.remote, f"{file.path}: {_sentences(error)}", now=now, is_trouble=True)
    else:
        note(held.remote, f"{file.prompt.name} is described as in git now.", now=now)


# --- Which file is of which prompt


def _assign(remote: GitRemote) -> None:
    """Give each file that can be read its prompt, by name. One of an unreadable file stays what it was."""
    files = list(GitFile.objects.filter(remote=remote, gone_at=None).defer("text"))
    by_name = _prompts_by_name(remote)
    taken = {by_name[file.name].pk for file in files if not file.problem and file.name in by_name}
    for file in files:
        if file.problem:
            continue
        prompt = by_name.get(file.name)
        if prompt is None:
            # Another name in the same place, or the same content in another place: it may be the prompt that was there.
            prompt = _renamed_from(remote, file, taken)
        if prompt is None and file.prompt_id is None:
            continue
        if prompt is None or prompt.pk != file.prompt_id:
            _move(remote, file, prompt)


def _prompts_by_name(remote: GitRemote) -> dict[str, Prompt]:
    found: dict[str, Prompt] = {}
    for prompt in Prompt.objects.filter(project_id=remote.project_id):
        for name in [*prompt.former_names, prompt.name]:
            found[name] = prompt
    return found


def _renamed_from(remote: GitRemote, file: GitFile, taken: set[int]) -> Prompt | None:
    """The prompt whose file this was before it got another name; None when that is not sure."""
    if file.prompt_id is not None and file.prompt_id not in taken:
        return Prompt.objects.get(pk=file.prompt_id)
    gone = GitFile.objects.filter(remote=remote, content_hash=file.content_hash, prompt__isnull=False)
    owners = {row.prompt for row in gone.exclude(gone_at=None).select_related("prompt") if row.prompt_id not in taken}
    return owners.pop() if len(owners) == 1 else None


def _move(remote: GitRemote, file: GitFile, prompt: Prompt | None) -> None:
    """Let the file be of this prompt, and take along what was agreed about the prompt's former file."""
    before = None
    if prompt is not None:
        others = GitFile.objects.filter(remote=remote, prompt=prompt).exclude(pk=file.pk).exclude(gone_at=None)
        before = others.order_by("-gone_at").first()
    GitFile.objects.filter(pk=file.pk).update(
        prompt=prompt,
        agreed_id=None if before is None else before.agreed_id,
        taken_hash="" if before is None else before.taken_hash,
    )
    if before is not None:
        before.delete()


# --- What follows


def take_over(held: Held, *, now: datetime) -> None:
    """Note what agrees, and take edits over as the project wants it. What is refused says why and waits."""
    for line in in_git(held.remote):
        if line.file is None or line.file.problem:
            continue
        _agree(held, line, now)
    # Snippets may be published by the same push as the prompts that include them.
    for _ in range(2):
        waiting = [line for line in in_git(held.remote) if line.file is not None and not line.file.problem]
        for line in waiting:
            _rename(held, line, now)
            if line.standing.takes:
                _take(held, line, now)


def _agree(held: Held, line: PromptInGit, now: datetime) -> None:
    """Note the version that the branch agrees with, and that it got there."""
    file = line.file
    assert file is not None
    if line.prompt is None:
        return
    version = _version_in(line.prompt, file)
    if version is None or version.pk == file.agreed_id:
        return
    with held.writing() as remote:
        GitFile.objects.filter(pk=file.pk).update(agreed=version, refusal="")
        pushes = GitPush.objects.filter(remote=remote)
        merged = pushes.filter(version=version).exclude(state=GitPush.State.MERGED)
        if merged.update(state=GitPush.State.MERGED, merged_commit=file.commit, merged_at=now):
            note(
                remote, f"{line.name} {version.number} is part of {remote.branch}, commit {file.commit[:10]}.", now=now
            )
        newer = [one.pk for one in Version.objects.filter(prompt=line.prompt) if one.number > version.number]
        older = pushes.filter(version__prompt=line.prompt, state__in=["waiting", "pushed"]).exclude(
            version_id__in=newer
        )
        older.update(state=GitPush.State.SUPERSEDED)


def _version_in(prompt: Prompt, file: GitFile) -> Version | None:
    """The version whose number and content the file has; without a number, the newest with that content."""
    rows = Version.objects.filter(prompt=prompt, content_hash=file.content_hash)
    number = semver.parse(file.number)
    if number is not None:
        return rows.filter(major=number.major, minor=number.minor, patch=number.patch).first()
    return rows.first()


def _rename(held: Held, line: PromptInGit, now: datetime) -> None:
    """Give a prompt the name that its file has now, where edits become versions."""
    file, prompt = line.file, line.prompt
    assert file is not None
    if prompt is None or file.name in {prompt.name, *prompt.former_names}:
        return
    if held.remote.edits != GitRemote.Edits.VERSIONS:
        _refuse(held, file, f"Git calls it {file.name}. Rename it here too, if that is meant.", now)
        return
    try:
        with held.writing() as remote:
            rename_prompt(prompt=prompt, name=file.name, actor=held.actor, now=now)
            note(remote, f"{prompt.name} is called {file.name} now, as in git.", now=now)
    except LostLease:
        raise
    except DomainError as error:
        _refuse(held, file, error.text, now)


def _take(held: Held, line: PromptInGit, now: datetime) -> None:
    """Make a draft or a version of git's text. Whatever refuses that is noted, and nothing is changed."""
    file = line.file
    assert file is not None
    told = own.read(file.text, default_name=line.name)
    try:
        with held.writing() as remote:
            prompt = line.prompt or _created(held, told, now)
            if remote.edits == GitRemote.Edits.VERSIONS:
                version = _published(held, prompt, file, told, now)
                note(remote, f"{told.name} {version.number} was published from commit {file.commit[:10]}.", now=now)
            else:
                draft_from_git(prompt=prompt, file=file, content=told.content, now=now)
                note(remote, f"Git's change of {told.name} waits as a draft.", now=now)
    except LostLease:
        raise
    except DomainError as error:
        _refuse(held, file, _sentences(error), now)


def _created(held: Held, told: PromptFile, now: datetime) -> Prompt:
    member = find_member(held.remote.project, told.owner) if "@" in told.owner else None
    return create_prompt(
        project=held.remote.project,
        name=told.name,
        actor=held.actor,
        now=now,
        description=told.description,
        owner=None if member is None else member.user,
        tags=told.tags,
    )


def _published(held: Held, prompt: Prompt, file: GitFile, told: PromptFile, now: datetime) -> Version:
    content: Content = told.content
    number = semver.parse(told.version)
    # The number of the version that was edited is not that of the edit, which gets the one its changes ask for.
    is_named = file.agreed is None or number != file.agreed.number
    version = publish(
        prompt=prompt,
        content=content,
        actor=held.actor,
        now=now,
        note=file.subject,
        number=number if is_named else None,
        origin=Origin.GIT,
        base=file.agreed,
        checks_base=True,
        commit_id=file.commit,
        source_text=file.text if is_named else "",
    )
    GitFile.objects.filter(pk=file.pk).update(prompt=prompt, agreed=version, taken_hash=file.content_hash, refusal="")
    return version


def _sentences(error: DomainError) -> str:
    told = [f"{place}: {words[0]}" for place, words in error.details.items() if isinstance(words, list) and words]
    return " ".join(told) or error.text


def _refuse(held: Held, file: GitFile, sentence: str, now: datetime) -> None:
    sentence = sentence[:LONGEST]
    with held.writing() as remote:
        if GitFile.objects.filter(pk=file.pk).exclude(refusal=sentence).update(refusal=sentence):
            note(remote, f"{file.path} was not taken over: {sentence}", now=now, is_trouble=True)


def note_troubles(held: Held, before: Mapping[str, State], *, now: datetime) -> None:
    """Write a line for each prompt that came to need a person since the states before."""
    for line in in_git(held.remote):
        if line.state in {State.CONFLICT, State.DIVERGED, State.MISSING} and before.get(line.name) is not line.state:
            with held.writing() as remote:
                note(remote, f"{line.name}: {line.standing.sentence}", now=now, is_trouble=True)
