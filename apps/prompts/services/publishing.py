"""Publishing: a content becomes a version, with a number that follows from what changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.prompts import bumping, semver
from apps.prompts import content as contents
from apps.prompts.bumping import Reason, Suggestion
from apps.prompts.content import Content
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.selectors.versions import find_same_content, latest_version
from apps.prompts.semver import Number
from apps.prompts.services.git_waking import note_published
from apps.prompts.services.prompts import create_prompt, locked
from apps.prompts.services.resolving import Resolved, resolve
from apps.prompts.types import Bump, Origin


class SameContent(Conflict):
    """A version of this prompt says exactly this already."""

    code, message = "same_content", "Version {version} says exactly this. Use it, or change something first."


class BreakingLowered(Conflict):
    """The change breaks callers and was to be published as a smaller step, which needs a reason."""

    code = "breaking_lowered"
    message = (
        "This change needs a {needed} version: {reasons} Publish it as {needed}, or give `lowered_because` "
        "with the reason why callers are not affected."
    )


class NumberTaken(Conflict):
    """The number exists already, or is lower than the newest one."""

    code, message = "version_taken", "The newest version is {latest}. Choose a higher number, such as {next}."


class MovedOn(Conflict):
    """A version was published since this content was begun."""

    code = "moved_on"
    message = "Version {latest} was published by {publisher} since you began with {base}. Compare, then publish on it."


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing a content would do now."""

    number: Number
    suggestion: Suggestion
    latest: Version | None
    same_as: Version | None
    resolved: Resolved


def plan(*, prompt: Prompt, content: Content, bump: Bump | None = None) -> Plan:
    """What publishing this content would make of it. Raises BadContent for templates or includes that cannot work."""
    return _plan(prompt, resolve(project_id=prompt.project_id, content=content), bump)


def _plan(prompt: Prompt, resolved: Resolved, bump: Bump | None) -> Plan:
    latest, content = latest_version(prompt), resolved.content
    if latest is None:
        reasons = (Reason(Bump.MAJOR, "This is the first version."),)
        return Plan(semver.FIRST, Suggestion(Bump.MAJOR, reasons), None, None, resolved)
    suggestion = bumping.suggest(latest.body, content)
    number = latest.number.after(bump or suggestion.bump)
    same = find_same_content(prompt, contents.content_hash(content))
    return Plan(number, suggestion, latest, same, resolved)


def publish(
    *,
    prompt: Prompt,
    content: Content,
    actor: Actor,
    now: datetime,
    note: str = "",
    bump: Bump | None = None,
    number: Number | None = None,
    lowered_because: str = "",
    allows_same: bool = False,
    origin: Origin = Origin.EDITOR,
    author: User | None = None,
    base: Version | None = None,
    checks_base: bool = False,
    commit_id: str = "",
    source_text: str = "",
) -> Version:
    """Make the content the prompt's next version.

    The step is the suggested one, or `bump`, or the one to the given `number`. A larger step is free; a smaller one
    than a breaking change needs raises BreakingLowered unless `lowered_because` says why. Raises SameContent unless
    `allows_same`, NumberTaken, BadContent, and MovedOn when `checks_base` and `base` is not the newest version.
    The author's draft is removed when it holds this content.
    """
    resolved = resolve(project_id=prompt.project_id, content=content)
    with transaction.atomic():
        prompt = locked(prompt)
        planned = _plan(prompt, resolved, bump)
        if checks_base:
            _require_newest(planned.latest, base)
        if planned.same_as is not None and not allows_same:
            raise SameContent(version=str(planned.same_as.number))
        chosen = _chosen_number(planned, number)
        version = Version(
            **_told(planned, chosen, lowered_because),
            resolved=[contents.message_as_dict(message) for message in resolved.messages],
            project_id=prompt.project_id,
            prompt=prompt,
            note=_clean_note(note),
            origin=origin,
            author=author,
            publisher_kind=actor.kind,
            publisher_name=actor.name,
            published_at=now,
            source_text=source_text,
            commit_id=commit_id,
        )
        version.save(force_insert=True)
        Prompt.objects.filter(pk=prompt.pk).update(changed_at=now, archived_at=None)
        Draft.objects.filter(prompt=prompt, author=author, content=version.content).delete()
        _note(version, lowered_because, actor=actor, now=now)
        note_published(version)
    return version


def _require_newest(latest: Version | None, base: Version | None) -> None:
    if latest is None or (base is not None and base.pk == latest.pk):
        return
    began = "nothing" if base is None else str(base.number)
    raise MovedOn(latest=str(latest.number), publisher=latest.publisher_name, base=began)


def _told(planned: Plan, chosen: Number, lowered_because: str) -> dict[str, Any]:
    """What follows from the content and the number. Raises BreakingLowered."""
    latest, suggestion, resolved = planned.latest, planned.suggestion, planned.resolved
    step = Bump.MAJOR if latest is None else chosen.step_from(latest.number)
    assert step is not None, "a number that is not higher was refused before"
    if suggestion.bump is Bump.MAJOR and step is not Bump.MAJOR and not lowered_because.strip():
        raise BreakingLowered(needed=suggestion.bump.value, reasons=_sentences(suggestion))
    return {
        **chosen._asdict(),
        "content": contents.content_as_dict(resolved.content),
        "includes": [{"name": name, "version": which} for name, which in resolved.includes],
        "content_hash": contents.content_hash(resolved.content),
        "bump": step,
        "suggested_bump": suggestion.bump,
        "bump_reasons": [reason.sentence for reason in suggestion.reasons],
    }


def _note(version: Version, lowered_because: str, *, actor: Actor, now: datetime) -> None:
    """Write the publication down in the audit trail."""
    details: dict[str, str] = {
        "version": str(version.number),
        "hash": version.content_hash,
        "origin": version.origin,
    }
    if version.suggested_bump == Bump.MAJOR and version.bump != Bump.MAJOR:
        details |= {"suggested": version.suggested_bump, "lowered_because": lowered_because.strip()[:500]}
    audit.record(
        actor=actor,
        action="prompts.published",
        project=version.prompt.project,
        target=version,
        at=now,
        details=details,
    )


@transaction.atomic
def create_with_version(
    *,
    project: Project,
    name: str,
    content: Content | None,
    actor: Actor,
    now: datetime,
    description: str = "",
    owner: User | None = None,
    tags: Iterable[str] = (),
    note: str = "",
    author: User | None = None,
    origin: Origin = Origin.EDITOR,
) -> Prompt:
    """A new prompt, with its first version when there is a content: both or neither. Raises what each raises."""
    prompt = create_prompt(
        project=project, name=name, description=description, owner=owner, tags=tags, actor=actor, now=now
    )
    if content is not None:
        publish(prompt=prompt, content=content, note=note, author=author, actor=actor, now=now, origin=origin)
    return prompt


def _chosen_number(planned: Plan, number: Number | None) -> Number:
    latest = planned.latest
    if number is None:
        chosen = planned.number
    elif latest is not None and number <= latest.number:
        raise NumberTaken(latest=str(latest.number), next=str(planned.number))
    else:
        chosen = number
    if max(chosen) > semver.MOST:
        raise Invalid(version=[f"Each part of a version is at most {semver.MOST:,}."])
    return chosen


def _sentences(suggestion: Suggestion) -> str:
    return " ".join(reason.sentence for reason in suggestion.reasons if reason.bump is suggestion.bump)


def _clean_note(note: str) -> str:
    return contents.NOT_IN_TEXT.sub("\N{REPLACEMENT CHARACTER}", note.strip())[:10_000]
