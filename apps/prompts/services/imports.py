"""Importing prompts from files: read, plan, and then one prompt after the other, each whole or not at all."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.projects.models import Membership, Project
from apps.projects.types import Actor
from apps.prompts.content import MAX_VARIABLES, Content
from apps.prompts.files import detect, guessing, own, plan, templates
from apps.prompts.files.found import Found, Note, Reading
from apps.prompts.files.plan import Action, Plan, Step
from apps.prompts.models import ImportJob, Prompt
from apps.prompts.selectors import imports as selectors
from apps.prompts.selectors.prompts import get_prompt
from apps.prompts.selectors.versions import latest_version
from apps.prompts.semver import Number
from apps.prompts.services.drafts import save_draft
from apps.prompts.services.prompts import change_prompt, create_prompt
from apps.prompts.services.publishing import publish
from apps.prompts.templating import rendering
from apps.prompts.types import Origin

MOST_UPLOADS = 10
"""Uploads of one person in a project that are kept at once."""


class Mode(StrEnum):
    """What is made of the files: versions, or drafts that a person publishes."""

    VERSIONS = "versions"
    DRAFTS = "drafts"


class Status(StrEnum):
    """What became of one of them."""

    CREATED = "created"
    PUBLISHED = "published"
    DRAFTED = "drafted"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step. `text` is the file as it would be exported now, for files in our own format."""

    step: Step
    status: Status
    sentence: str
    version: str = ""
    code: str = ""
    text: str = ""


# --- Before ---------------------------------------------------------------------------------------------------------


def plan_import(*, project: Project, files: Mapping[str, bytes], bases: Mapping[str, Number] | None = None) -> Plan:
    """What importing these files would do now. Changes nothing, and never raises for what is in the files."""
    reading = detect.read_all(files)
    reading = Reading(tuple(_completed(found) for found in reading.found), reading.refused)
    names = {found.name for found in reading.found}
    for found in reading.found:
        for message in found.content.messages:
            names.update(templates.unpinned_names(message.content))
    return plan.plan(reading, selectors.known_prompts(project, names), check=_faults, bases=bases)


def _completed(found: Found) -> Found:
    """With the variables that a foreign template uses and does not declare."""
    content = found.content
    if found.format == plan.OWN:
        return found
    declared = {variable.name for variable in content.variables}
    texts = [message.content for message in content.messages if message.role != "placeholder"]
    used: dict[str, None] = {}
    for text in texts:
        if not rendering.check(text, content.syntax):
            used |= dict.fromkeys(rendering.names_used(text, content.syntax, content.variables))
    missing = [name for name in used if name not in declared][: MAX_VARIABLES - len(declared)]
    if not missing:
        return found
    more = tuple(guessing.variables(missing, texts, content.syntax))
    told = ", ".join(f"{one.name} ({one.type.value}{'' if one.is_required else ', optional'})" for one in more)
    note = Note(f"Nothing declares its variables; these were found in the text: {told}.", found.paths[0])
    return replace(found, content=replace(content, variables=content.variables + more), notes=(*found.notes, note))


def _faults(content: Content) -> list[str]:
    """What keeps the content from being published, in sentences."""
    faults: list[str] = []
    declared = {variable.name for variable in content.variables}
    for place, message in enumerate(content.messages, start=1):
        where = "" if len(content.messages) == 1 else f"Message {place}: "
        if message.role == "placeholder":
            used: Collection[str] = [message.content]
        else:
            problems = rendering.check(message.content, content.syntax)
            faults += [f"{where}{problem.sentence}" for problem in problems]
            used = [] if problems else rendering.names_used(message.content, content.syntax, content.variables)
        for name in sorted(set(used) - declared):
            faults.append(f"{where}The variable {name} is used and not declared. Add it below 'variables:'.")
    return faults


@transaction.atomic
def keep_upload(*, project: Project, author: User, files: Mapping[str, bytes], now: datetime) -> ImportJob:
    """Keep the files until they are confirmed, for a day. Of one person's uploads the newest few are kept."""
    told = [
        {"path": path[:300].replace("\x00", ""), "data": base64.b64encode(raw).decode()} for path, raw in files.items()
    ]
    mine = ImportJob.objects.filter(project=project, author=author).order_by("-created_at", "-pk")
    ImportJob.objects.filter(pk__in=list(mine.values_list("pk", flat=True)[MOST_UPLOADS - 1 :])).delete()
    return ImportJob.objects.create(project=project, author=author, files=told, created_at=now)


def files_of(job: ImportJob) -> dict[str, bytes]:
    """The files of an upload."""
    return {str(one["path"]): base64.b64decode(one["data"]) for one in job.files}


def forget_uploads(*, now: datetime) -> int:
    """Delete uploads that are older than a day. Returns how many."""
    deleted, _ = ImportJob.objects.filter(created_at__lte=now - selectors.KEPT).delete()
    return deleted


# --- Doing it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Import:
    """What all steps share."""

    project: Project
    mode: Mode
    author: User | None
    actor: Actor
    now: datetime
    note: str
    drafts_what_fails: bool


def run_import(
    *,
    project: Project,
    files: Mapping[str, bytes],
    mode: Mode,
    author: User | None,
    actor: Actor,
    now: datetime,
    note: str = "",
    chosen: Collection[int] | None = None,
    bases: Mapping[str, Number] | None = None,
    drafts_what_fails: bool = False,
) -> tuple[Plan, list[Outcome]]:
    """Import the files: the plan as it is now, and what became of each step.

    Each step is done or not done as a whole; one that fails keeps no other from being done. `chosen` are the places of
    the steps that are wanted. With `drafts_what_fails`, what cannot be published becomes a draft instead.
    """
    todo = plan_import(project=project, files=files, bases=bases)
    shared = _Import(project, mode, author, actor, now, note, drafts_what_fails)
    newest = {step.name: place for place, step in enumerate(todo.steps) if step.makes_something}
    outcomes = []
    for place, step in enumerate(todo.steps):
        if chosen is not None and step.makes_something and place not in chosen:
            outcomes.append(Outcome(step, Status.SKIPPED, "You left it out."))
        elif mode is Mode.DRAFTS and step.makes_something and newest[step.name] != place:
            sentence = (
                "There can be one draft; the newest version in the file became it. Import as versions to keep all."
            )
            outcomes.append(Outcome(step, Status.SKIPPED, sentence))
        else:
            outcomes.append(_done(step, shared))
    return todo, outcomes


def confirm_upload(
    *, job: ImportJob, mode: Mode, author: User, actor: Actor, now: datetime, note: str, chosen: Collection[int]
) -> ImportJob:
    """Import what was uploaded and keep what became of it; a second confirmation changes nothing."""
    if ImportJob.objects.filter(pk=job.pk, outcome__isnull=True).update(outcome=[]) != 1:
        job.refresh_from_db()
        return job
    _, outcomes = run_import(
        project=job.project,
        files=files_of(job),
        mode=mode,
        author=author,
        actor=actor,
        now=now,
        note=note,
        chosen=chosen,
        drafts_what_fails=True,
    )
    job.outcome = [outcome_as_dict(outcome) for outcome in outcomes]
    job.save(update_fields=["outcome"])
    return job


def outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON."""
    return {
        "name": outcome.step.name,
        "paths": list(outcome.step.found.paths),
        "status": outcome.status.value,
        "sentence": outcome.sentence,
        "version": outcome.version,
    }


def _done(step: Step, shared: _Import) -> Outcome:
    if step.action is Action.SAME:
        text = _text_now(step, shared)
        return Outcome(step, Status.SKIPPED, step.sentence, str(step.number), "same_content", text)
    if step.action is Action.CONFLICT:
        return Outcome(step, Status.REFUSED, step.sentence, code=step.code)
    is_draft = shared.mode is Mode.DRAFTS
    if step.problems and not is_draft:
        if not shared.drafts_what_fails:
            return Outcome(step, Status.REFUSED, " ".join(step.problems), code="invalid")
        is_draft = True
    try:
        return _drafted(step, shared) if is_draft else _published(step, shared)
    except DomainError as error:
        return Outcome(step, Status.REFUSED, _words(error), code=error.code)


def _words(error: DomainError) -> str:
    """The error's sentence and, where it names fields, theirs."""
    sentences = [one for listed in error.details.values() if isinstance(listed, list) for one in listed]
    return " ".join(str(one) for one in sentences) or error.text


@transaction.atomic
def _published(step: Step, shared: _Import) -> Outcome:
    found = step.found
    prompt = _prompt_for(step, shared)
    is_new = step.action is Action.NEW
    version = publish(
        prompt=prompt,
        content=found.content,
        actor=shared.actor,
        author=shared.author,
        now=shared.now,
        number=step.number,
        note=found.change_note or shared.note or f"Imported from {found.paths[0]}",
        origin=Origin.IMPORT,
        source_text=found.source_text,
    )
    prompt.refresh_from_db()
    sentence = f"{prompt.name} {version.number} was published."
    status = Status.CREATED if is_new else Status.PUBLISHED
    text = selectors.exported(prompt, version).text if found.format == plan.OWN else ""
    return Outcome(step, status, sentence, str(version.number), text=text)


@transaction.atomic
def _drafted(step: Step, shared: _Import) -> Outcome:
    prompt = _prompt_for(step, shared)
    save_draft(
        prompt=prompt,
        author=shared.author,
        content=step.found.content,
        revision=None,
        base=latest_version(prompt),
        note=step.found.change_note or shared.note,
        now=shared.now,
        origin=Origin.IMPORT,
    )
    why = f" It cannot be published yet: {' '.join(step.problems)}" if step.problems else ""
    return Outcome(step, Status.DRAFTED, f"{prompt.name} is a draft now.{why}")


def _prompt_for(step: Step, shared: _Import) -> Prompt:
    """The prompt that the step is about, made or brought up to what the file says of it."""
    found = step.found
    owner = _member(shared.project, found.owner)
    if step.action is Action.NEW and not Prompt.objects.filter(project=shared.project, name=found.name).exists():
        return create_prompt(
            project=shared.project,
            name=found.name,
            description=found.description,
            owner=owner if owner is not None else (shared.author if shared.actor.kind == "user" else None),
            tags=found.tags,
            actor=shared.actor,
            now=shared.now,
        )
    prompt = get_prompt(shared.project, step.name)
    if found.format == plan.OWN:
        _amend(prompt, found, owner, shared)
    return prompt


def _amend(prompt: Prompt, found: Found, owner: User | None, shared: _Import) -> None:
    """What our own files say around a version holds for the prompt, as far as they say it."""
    described = found.description if found.description and found.description != prompt.description else None
    tagged = found.tags if found.tags and list(found.tags) != list(prompt.tags) else None
    if described is not None or tagged is not None or (owner is not None and owner.pk != prompt.owner_id):
        change_prompt(
            prompt=prompt,
            actor=shared.actor,
            now=shared.now,
            description=described,
            tags=tagged,
            owner=owner,
            keeps_owner=owner is None,
        )


def _member(project: Project, email: str) -> User | None:
    """The member with this address; None for anybody else, who cannot own a prompt here."""
    if "@" not in email:
        return None
    found = Membership.objects.select_related("user").filter(project=project, user__email__iexact=email).first()
    return None if found is None else found.user


def _text_now(step: Step, shared: _Import) -> str:
    """The newest version as a file, when it is the one that says the same."""
    if step.found.format != plan.OWN:
        return ""
    prompt = get_prompt(shared.project, step.name)
    version = latest_version(prompt)
    if version is None or version.number != step.number:
        return ""
    return own.write(selectors.prompt_file(prompt, version), step.found.source_text)
