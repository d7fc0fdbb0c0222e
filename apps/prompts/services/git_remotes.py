"""Connecting a repository elsewhere, changing and ending that, and what a person decides where both sides differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.core import jobs, sealing
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.prompts.content import Content, content_hash
from apps.prompts.files import own
from apps.prompts.git import remotes
from apps.prompts.git.repository import fault_of_branch, fault_of_path
from apps.prompts.git.standing import State
from apps.prompts.models import Draft, GitFile, GitNote, GitPush, GitRemote, Prompt, Version
from apps.prompts.selectors import get_draft, latest_version
from apps.prompts.selectors.git import PromptInGit, get_line, get_remote
from apps.prompts.services.drafts import save_draft
from apps.prompts.services.prompts import create_prompt
from apps.prompts.types import Origin

SYNC = "prompts.sync_git"
LONGEST_SECRET = 20_000
MOST_NOTES = 500
Credential, Edits, Publishing = GitRemote.Credential, GitRemote.Edits, GitRemote.Publishing


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person enters about a repository. `secret` is empty to keep the one that is there."""

    url: str
    branch: str = "main"
    prefix: str = ""
    credential: str = Credential.NONE
    user: str = ""
    secret: str = ""
    known_hosts: str = ""
    edits: str = Edits.DRAFTS
    publishing: str = Publishing.BRANCHES


class NothingToTake(Conflict):
    """The state is no longer the one that the person saw."""

    code, message = "git_nothing_to_take", "This changed meanwhile. Look at the state again."


class DraftInTheWay(Conflict):
    """A person changed the draft that came from git."""

    code = "git_draft_in_the_way"
    message = "The draft from git was changed here since. Publish it or discard it first; nothing was overwritten."


@transaction.atomic
def connect(*, project: Project, wishes: Wishes, actor: Actor, now: datetime) -> GitRemote:
    """Connect the repository, or change how it is connected. Another address or credential kind clears the credential.

    Nothing is sent here. Raises Invalid with sentences by field.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    url = remotes.parse(wishes.url)
    _check(wishes, url.scheme)
    remote = GitRemote.objects.select_for_update().filter(project=project).first() or GitRemote(
        project=project, created_at=now
    )
    is_new = remote.pk is None
    is_elsewhere = remote.url != url.url
    keeps = not is_elsewhere and remote.credential == wishes.credential and remote.user == wishes.user
    if not keeps or wishes.credential == Credential.NONE:
        remote.sealed_secret = ""
    if wishes.secret and wishes.credential != Credential.NONE:
        remote.sealed_secret = sealing.seal(wishes.secret, place=remote.place)
    if wishes.credential != Credential.NONE and not remote.sealed_secret:
        raise Invalid(secret=["Enter the credential. It belongs to the address and is cleared when that changes."])
    if is_elsewhere or remote.branch != wishes.branch or remote.prefix != _prefix(wishes.prefix):
        _begin_anew(remote)
    remote.url, remote.branch, remote.prefix = url.url, wishes.branch.strip(), _prefix(wishes.prefix)
    remote.credential, remote.user = wishes.credential, wishes.user.strip()
    remote.host_keys = "\n".join(remotes.host_keys(wishes.known_hosts)) if url.scheme == "ssh" else ""
    remote.edits, remote.publishing = wishes.edits, wishes.publishing
    # Whoever is at work with the former settings must not write what it finds.
    remote.lease, remote.leased_until = None, None
    remote.changed_at, remote.due_at, remote.failures, remote.last_error = now, now, 0, ""
    remote.save()
    details = {
        "url": remote.url,
        "branch": remote.branch,
        "prefix": remote.prefix or None,
        "credential": remote.credential,
        "new_credential": bool(wishes.secret),
        "edits": remote.edits,
        "publishing": remote.publishing,
    }
    action = "prompts.git_connected" if is_new else "prompts.git_changed"
    audit.record(actor=actor, action=action, project=project, target=remote, at=now, details=details)
    jobs.enqueue(SYNC, project_id=project.pk)
    return remote


def _check(wishes: Wishes, scheme: str) -> None:
    faults: dict[str, list[str]] = {}
    branch = fault_of_branch(wishes.branch.strip())
    if branch is not None:
        faults["branch"] = [branch]
    prefix = _prefix(wishes.prefix)
    if prefix and (fault := fault_of_path(prefix)) is not None:
        faults["folder"] = [fault]
    if scheme == "ssh" and wishes.credential != Credential.SSH_KEY:
        faults["credential"] = ["An ssh address is opened with an ssh key."]
    elif scheme != "ssh" and wishes.credential == Credential.SSH_KEY:
        faults["credential"] = ["An ssh key opens ssh addresses only. Choose a token."]
    if wishes.user.strip() and not remotes.USER.fullmatch(wishes.user.strip()):
        faults["user"] = ["Use letters, digits, dots, hyphens and underscores."]
    if scheme == "ssh" and not remotes.host_keys(wishes.known_hosts):
        faults["known_hosts"] = ["Enter the server's keys, as `ssh-keyscan` prints them. They are not asked for."]
    if len(wishes.secret) > LONGEST_SECRET or any(ord(one) < 32 and one not in "\r\n\t" for one in wishes.secret):
        faults["secret"] = ["This cannot be a credential."]
    elif wishes.credential == Credential.TOKEN and any(one in wishes.secret for one in "\r\n\t "):
        faults["secret"] = ["A token has no blanks and line breaks."]
    if faults:
        raise Invalid(None, **faults)


def _prefix(text: str) -> str:
    return text.strip().strip("/")


def _begin_anew(remote: GitRemote) -> None:
    """Forget what was seen: it was another repository, branch or folder."""
    remote.seen_commit, remote.rewritten_from, remote.rewritten_at, remote.fetched_at = "", "", None, None
    if remote.pk is not None:
        GitFile.objects.filter(remote=remote).delete()
        GitPush.objects.filter(remote=remote).delete()


@transaction.atomic
def disconnect(*, remote: GitRemote, actor: Actor, now: datetime) -> None:
    """Forget the repository, its credential and what was seen of it. Prompts, drafts and versions stay."""
    audit.record(
        actor=actor,
        action="prompts.git_disconnected",
        project=remote.project,
        target=remote,
        at=now,
        details={"url": remote.url},
    )
    remote.delete()


@transaction.atomic
def ask_for_sync(*, remote: GitRemote, now: datetime) -> None:
    """Look at the repository as soon as somebody is free to."""
    GitRemote.objects.filter(pk=remote.pk).update(due_at=now)
    jobs.enqueue(SYNC, project_id=remote.project_id)


def note(remote: GitRemote, text: str, *, now: datetime, is_trouble: bool = False) -> None:
    """Add a line to what happened; only the newest are kept."""
    GitNote.objects.create(project_id=remote.project_id, remote=remote, at=now, text=text[:800], is_trouble=is_trouble)
    kept = GitNote.objects.filter(remote=remote).order_by("-id").values_list("pk", flat=True)
    oldest = list(kept[MOST_NOTES : MOST_NOTES + 1])
    if oldest:
        GitNote.objects.filter(remote=remote, pk__lte=oldest[0]).delete()


# --- What a person decides


@transaction.atomic
def take_as_draft(*, project: Project, name: str, actor: Actor, now: datetime) -> Draft:
    """Put git's text into the draft from git, whatever the state. Raises NotFound, NothingToTake, DraftInTheWay."""
    remote = GitRemote.objects.select_for_update().get(pk=get_remote(project).pk)
    line = get_line(remote, name)
    if line.file is None or line.file.problem or line.state in {State.IN_SYNC, State.MISSING}:
        raise NothingToTake
    content = own.read(line.file.text, default_name=line.name).content
    prompt = line.prompt or create_prompt(project=project, name=line.name, actor=actor, now=now)
    draft = draft_from_git(prompt=prompt, file=line.file, content=content, now=now)
    note(remote, f"{actor.name} took git's text of {name} as a draft.", now=now)
    audit.record(
        actor=actor,
        action="prompts.git_taken",
        project=project,
        target=prompt,
        at=now,
        details={"path": line.file.path, "commit": line.file.commit or None},
    )
    return draft


def draft_from_git(*, prompt: Prompt, file: GitFile, content: Content, now: datetime) -> Draft:
    """The draft that waits for a person, with the file's content. One that was changed here is not overwritten."""
    taken = content_hash(content)
    draft = get_draft(prompt, None)
    if draft is not None and content_hash(draft.body) not in {file.taken_hash, taken}:
        raise DraftInTheWay
    latest = latest_version(prompt)
    saved = save_draft(
        prompt=prompt,
        author=None,
        content=content,
        revision=None if draft is None else draft.revision,
        base=latest,
        now=now,
        note=file.subject,
        origin=Origin.GIT,
    )
    GitFile.objects.filter(pk=file.pk).update(prompt=prompt, agreed=latest, taken_hash=taken, refusal="")
    return saved


@transaction.atomic
def push_ours(*, project: Project, name: str, actor: Actor, now: datetime) -> GitPush:
    """Send the newest version on a branch of its own although git has another text. Raises NotFound, NothingToTake."""
    remote = GitRemote.objects.select_for_update().get(pk=get_remote(project).pk)
    line = get_line(remote, name)
    if line.prompt is None or line.latest is None or line.state is State.IN_SYNC:
        raise NothingToTake
    push = planned_push(remote, line, now=now, is_asked=True)
    note(remote, f"{actor.name} asked to send {name} {line.latest.number} on a branch.", now=now)
    audit.record(
        actor=actor,
        action="prompts.git_push_asked",
        project=project,
        target=line.prompt,
        at=now,
        details={"version": str(line.latest.number), "branch": push.branch},
    )
    ask_for_sync(remote=remote, now=now)
    return push


def planned_push(remote: GitRemote, line: PromptInGit, *, now: datetime, is_asked: bool = False) -> GitPush:
    """The row of a version that is to go to git. Asked for again, it goes again, on another branch."""
    assert line.latest is not None
    push, is_new = GitPush.objects.get_or_create(
        remote=remote,
        version_id=line.latest.pk,
        defaults={
            "project_id": remote.project_id,
            "branch": branch_of(line.name, line.latest),
            "is_asked": is_asked,
            "created_at": now,
        },
    )
    if not is_new and is_asked and push.state != GitPush.State.WAITING:
        times = int(push.branch.rpartition("+")[2]) + 1 if push.branch.rpartition("+")[2].isdecimal() else 2
        push.branch = f"{branch_of(line.name, line.latest)}+{times}"
        push.state, push.commit, push.pushed_at, push.merged_at = GitPush.State.WAITING, "", None, None
        push.is_asked = True
        push.save()
    return push


def branch_of(name: str, version: Version) -> str:
    """The branch of a version's own, `prodworthy/support/answer-1.3.0`."""
    safe = name.replace("..", "-.").replace(".lock/", "-lock/")
    return f"prodworthy/{safe}-{version.number}"
