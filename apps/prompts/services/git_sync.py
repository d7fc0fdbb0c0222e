"""Looking at a project's remote repository: fetch, compare, take over, push.

The work is the remote's row. Whoever does it holds a lease with a token, and each write asks whether the token still
holds; a worker that was paused and wakes late writes nothing. A server that is down is asked again, less and less
often, and nothing is lost meanwhile: what is to be done follows from the rows.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from apps.core import sealing
from apps.core.db import assert_no_transaction
from apps.core.errors import DomainError
from apps.prompts.git import program, remotes
from apps.prompts.git.failures import GitFailed
from apps.prompts.git.program import Access
from apps.prompts.git.repository import Repository
from apps.prompts.models import GitRemote
from apps.prompts.selectors.git import in_git
from apps.prompts.services import git_reading
from apps.prompts.services.git_local import directory, locked
from apps.prompts.services.git_pushing import OURS, THEIRS, NotSent, push_all
from apps.prompts.services.git_reading import MAIN, Held, LostLease
from apps.prompts.services.git_remotes import note

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=6)
"""Longer than a task may run at all."""
EVERY = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
AFTER_REFUSAL = timedelta(minutes=5)
"""How long a branch that was refused waits at most."""
FORGET_COPY_AFTER = 3
"""After so many failures in a row our copy of the repository is made anew: it might be the reason."""


class CannotOpenCredential(GitFailed):
    """The sealed credential cannot be read any more."""

    code = "git_credential_unreadable"
    message = "The credential cannot be read any more. Enter it again."


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the server found: its branches of interest, and the commit of the main one."""

    heads: dict[str, str]
    commit: str | None


def sync(project_id: int, *, now: datetime) -> bool:
    """Look at the project's repository once. False when there is none or somebody else is at it.

    Failures of git and of the network are noted in the row and do not rise.
    """
    assert_no_transaction()
    held = _take_lease(project_id, now)
    if held is None:
        return False
    try:
        with locked(f"remote-{held.remote.uuid}"):
            _work(held, now)
    except LostLease:
        log.info("somebody else went on with the repository of project %s", project_id)
    except DomainError as error:
        _note_failure(held, error, now)
    else:
        _note_success(held, now)
    finally:
        GitRemote.objects.filter(pk=held.remote.pk, lease=held.lease).update(lease=None, leased_until=None)
    return True


def _take_lease(project_id: int, now: datetime) -> Held | None:
    token = uuid.uuid4()
    free = GitRemote.objects.filter(Q(leased_until=None) | Q(leased_until__lt=now), project_id=project_id)
    if not free.update(lease=token, leased_until=now + LEASE, due_at=now + EVERY):
        return None
    return Held(GitRemote.objects.select_related("project").get(project_id=project_id, lease=token), token)


def _work(held: Held, now: datetime) -> None:
    remote = held.remote
    program.require_recent()
    url = remotes.split(remote.url)
    repository = Repository.made(directory() / f"remote-{remote.uuid}")
    if remote.failures and remote.failures % FORGET_COPY_AFTER == 0 and remote.failed_at != remote.fetched_at:
        repository.remove()
        repository = Repository.made(repository.directory)
    known_hosts = remotes.known_hosts_file(url.host, remote.host_keys.splitlines())
    kind = remotes.kind_of(remote.credential)
    with remotes.reached(
        url, kind=kind, credential=_secret(remote), user=remote.user, known_hosts=known_hosts
    ) as access:
        # After a push to the main branch itself, a second look sees it there.
        for _ in range(2):
            before = {line.name: line.state for line in in_git(remote)}
            look = _fetch(remote, repository, access)
            _read(held, repository, look, now)
            git_reading.take_over(held, now=now)
            is_main_changed = push_all(
                held, repository, access, has_branch=look.commit is not None, heads=look.heads, now=now
            )
            git_reading.note_troubles(held, before, now=now)
            if not is_main_changed:
                break


def _secret(remote: GitRemote) -> str:
    if not remote.sealed_secret:
        return ""
    try:
        return sealing.unseal(remote.sealed_secret, place=remote.place)
    except sealing.CannotOpen:
        raise CannotOpenCredential from None


def _fetch(remote: GitRemote, repository: Repository, access: Access) -> Look:
    """Bring what is new. Raises GitFailed for a branch that is not there, unless nothing at all is."""
    heads = repository.heads(remote.url, access, f"refs/heads/{remote.branch}", f"{OURS}*")
    if remote.branch not in heads:
        there = repository.heads(remote.url, access)
        if there or remote.seen_commit:
            names = ", ".join(sorted(there)[:8])
            raise GitFailed(f"There is no branch {remote.branch}." + (f" There is: {names}." if names else ""))
        return Look({}, None)
    ours = {name: commit for name, commit in heads.items() if f"refs/heads/{name}".startswith(OURS)}
    known = {f"{OURS.removeprefix('refs/heads/')}{name}": commit for name, commit in repository.refs(THEIRS).items()}
    if repository.find(MAIN) != heads[remote.branch] or known != ours:
        refspecs = {f"refs/heads/{remote.branch}": MAIN, f"{OURS}*": f"{THEIRS}*"}
        repository.fetch(remote.url, access, refspecs)
    return Look(heads, repository.find(MAIN))


def _read(held: Held, repository: Repository, look: Look, now: datetime) -> None:
    """Write down what the main branch says, if it is not what was seen last."""
    commit = look.commit
    if commit is None or commit == held.remote.seen_commit:
        return
    before = held.remote.seen_commit
    if before and not repository.contains(commit, before):
        with held.writing() as remote:
            GitRemote.objects.filter(pk=remote.pk).update(rewritten_at=now, rewritten_from=before)
            note(
                remote,
                f"The history of {remote.branch} was rewritten: {before[:10]} is no longer part of it. "
                "Nothing here was changed by that; files are compared by what they say.",
                now=now,
                is_trouble=True,
            )
    entries = git_reading.prompt_entries(held.remote, repository, commit)
    seen = git_reading.read_changed(held.remote, repository, commit, entries)
    git_reading.store(held, commit, entries, seen, now=now)
    held.remote.seen_commit = commit


def _note_success(held: Held, now: datetime) -> None:
    rows = GitRemote.objects.filter(pk=held.remote.pk, lease=held.lease)
    if held.remote.failures:
        note(held.remote, "The repository is reached again.", now=now)
    rows.update(fetched_at=now, failures=0, last_error="", failed_at=None)


def _note_failure(held: Held, error: DomainError, now: datetime) -> None:
    remote = held.remote
    rows = GitRemote.objects.filter(pk=remote.pk, lease=held.lease)
    wait = min(LONGEST_WAIT, EVERY * 2 ** min(remote.failures, 10))
    if isinstance(error, NotSent):
        # The server answers: what others do there is still looked for.
        rows.update(fetched_at=now)
        wait = min(wait, AFTER_REFUSAL)
    changed = rows.update(failures=remote.failures + 1, last_error=error.text[:600], failed_at=now, due_at=now + wait)
    if changed and remote.last_error != error.text[:600]:
        note(remote, error.text, now=now, is_trouble=True)
    log.warning("git of project %s failed: %s", remote.project_id, error.code)


def forget_copies() -> None:
    """Delete copies of repositories that are no longer connected, and of projects that are gone."""
    known = {f"remote-{one}" for one in GitRemote.objects.values_list("uuid", flat=True)}
    place = directory()
    for path in place.glob("remote-*"):
        if path.name.removesuffix(".lock") not in known:
            Repository(path).remove() if path.is_dir() else path.unlink(missing_ok=True)
