"""The project's own repository on this machine: a copy of its history steps that can be lost without loss."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from django.conf import settings

from apps.projects.models import Project
from apps.prompts.git import importing, program
from apps.prompts.git.failures import GitFailed
from apps.prompts.git.importing import NewCommit
from apps.prompts.git.program import Limits
from apps.prompts.git.repository import Repository
from apps.prompts.models import HistoryStep
from apps.prompts.services import git_history

MAIN = "refs/heads/main"
STATE = "prodworthy.json"
PORTION = 500
LOOSE_STEPS = 200
"""So many new commits, and the repository is packed anew."""
SERVING = Limits(seconds=60, output_bytes=512 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class _State:
    """Up to which step the repository goes, the commit of that step, and a digest of what the step says."""

    number: int = 0
    tip: str | None = None
    digest: str = ""


def directory() -> Path:
    """Where repositories are kept."""
    return Path(settings.VAR_DIR) / "git"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process of this machine at a time."""
    place = directory()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def updated(project: Project) -> Repository:
    """The project's repository with everything that was published so far. Raises GitMissing."""
    program.require()
    git_history.record(project)
    with locked(str(project.pk)):
        return _brought_up(project)


def _brought_up(project: Project) -> Repository:
    repository = Repository(directory() / str(project.pk))
    state = _state(project, repository)
    if state is None:
        return _made_anew(project, repository)
    if _append(project, repository, state) > LOOSE_STEPS:
        repository.tidy()
    return repository


def _state(project: Project, repository: Repository) -> _State | None:
    """What the repository is known to hold; None when that is not what it holds, or there is none."""
    try:
        told = json.loads((repository.directory / STATE).read_text())
        state = _State(int(told["number"]), told["tip"], str(told["digest"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if repository.find(MAIN) == state.tip and _is_of_rows(project, state) else None


def _is_of_rows(project: Project, state: _State) -> bool:
    """True when the rows have the step. They may be others: of a database that was restored, or of another one."""
    if state.number == 0:
        return True
    step = HistoryStep.objects.filter(project=project, number=state.number).first()
    return step is not None and _digest(step) == state.digest


def _digest(step: HistoryStep) -> str:
    told = [step.path, step.text, step.author_address, step.at.isoformat(), step.message]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _made_anew(project: Project, repository: Repository) -> Repository:
    """Make the repository from its steps, beside what is there, and put it in its place."""
    fresh = Repository.made(repository.directory.with_name(f"{repository.directory.name}.{uuid.uuid4().hex[:8]}.new"))
    _append(project, fresh, _State())
    fresh.tidy()
    shutil.rmtree(repository.directory, ignore_errors=True)
    fresh.directory.rename(repository.directory)
    return repository


def _append(project: Project, repository: Repository, state: _State) -> int:
    """Add the steps after the state; how many there were."""
    count = 0
    while steps := list(HistoryStep.objects.filter(project=project, number__gt=state.number)[:PORTION]):
        repository.bring_in(importing.stream(map(_commit, steps), ref=MAIN, tip=state.tip))
        state = _State(steps[-1].number, repository.find(MAIN), _digest(steps[-1]))
        count += len(steps)
        _note(repository, state)
    if not count and state.tip is None:
        _note(repository, state)
    return count


def _note(repository: Repository, state: _State) -> None:
    text = json.dumps({"number": state.number, "tip": state.tip, "digest": state.digest})
    fresh = repository.directory / f"{STATE}.new"
    fresh.write_text(text)
    fresh.replace(repository.directory / STATE)


def _commit(step: HistoryStep) -> NewCommit:
    return NewCommit(
        message=step.message,
        author=step.author_name,
        address=step.author_address,
        at=step.at,
        writes=((step.path, step.text),) if step.path else (),
        deletes=(step.former_path,) if step.former_path else (),
        tags=tuple((tag, source) for tag, source in step.tags),
    )


def forget_orphans() -> None:
    """Delete the repositories of projects that are gone."""
    place = directory()
    known = {str(pk) for pk in Project.objects.values_list("pk", flat=True)}
    for path in place.iterdir() if place.is_dir() else ():
        owner = path.name.partition(".")[0]
        if owner.isdecimal() and owner not in known:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


# --- Serving git clients


def advertise(project: Project, protocol: str) -> IO[bytes]:
    """What `git clone` asks first: the refs of the project's repository."""
    repository = updated(project)
    answer = _answer()
    answer.write(b"001e# service=git-upload-pack\n0000")
    return _upload_pack(answer, repository, ["--http-backend-info-refs"], b"", protocol)


def give_pack(project: Project, asked: bytes, protocol: str) -> IO[bytes]:
    """The answer to what a client wants and has."""
    repository = Repository(directory() / str(project.pk))
    if _state(project, repository) is None:
        repository = updated(project)
    return _upload_pack(_answer(), repository, [], asked, protocol)


def _answer() -> IO[bytes]:
    """A file for an answer, in memory while it is small."""
    return cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=1024 * 1024))


def _upload_pack(
    answer: IO[bytes], repository: Repository, options: list[str], asked: bytes, protocol: str
) -> IO[bytes]:
    place = str(repository.directory)
    environment = {"GIT_PROTOCOL": "version=2"} if protocol == "version=2" else {}
    access = program.Access(environment=environment, config={"safe.directory": place})
    arguments = ["upload-pack", "--stateless-rpc", "--strict", "--timeout=30", *options, "--", place]
    try:
        program.run_into(answer, arguments, None, asked, access, SERVING)
    except GitFailed:
        answer.close()
        raise
    answer.seek(0)
    return answer
