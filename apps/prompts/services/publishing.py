"""Publishing: a content becomes a version, with a number that follows from what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
from apps.prompts.content import BadContent, Content, Message
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.selectors.versions import find_same_content, latest_version, published_texts
from apps.prompts.semver import Number
from apps.prompts.services.prompts import create_prompt, locked
from apps.prompts.templating import rendering
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
    content: Content
    resolved: tuple[Message, ...]
    includes: tuple[tuple[str, str], ...]


def plan(*, prompt: Prompt, content: Content, bump: Bump | None = None) -> Plan:
    """What publishing this content would make of it. Raises BadContent for templates or includes that cannot work."""
    latest = latest_version(prompt)
    resolved, includes = _resolve(prompt, content)
    if latest is None:
        reasons = (Reason(Bump.MAJOR, "This is the first version."),)
        return Plan(semver.FIRST, Suggestion(Bump.MAJOR, reasons), None, None, content, resolved, includes)
    suggestion = bumping.suggest(latest.body, content)
    number = latest.number.after(bump or suggestion.bump)
    same = find_same_content(prompt, contents.content_hash(content))
    return Plan(number, suggestion, latest, same, content, resolved, includes)


@transaction.atomic
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
    prompt = locked(prompt)
    planned = plan(prompt=prompt, content=content, bump=bump)
    latest = planned.latest
    if checks_base and latest is not None and (base is None or base.pk != latest.pk):
        began = "nothing" if base is None else str(base.number)
        raise MovedOn(latest=str(latest.number), publisher=latest.publisher_name, base=began)
    if planned.same_as is not None and not allows_same:
        raise SameContent(version=str(planned.same_as.number))
    chosen = _chosen_number(planned, number)
    step = Bump.MAJOR if latest is None else chosen.step_from(latest.number)
    assert step is not None
    needed = planned.suggestion.bump
    if needed is Bump.MAJOR and step.rank < needed.rank and not lowered_because.strip():
        raise BreakingLowered(needed=needed.value, reasons=_sentences(planned.suggestion))
    version = Version.objects.create(
        project_id=prompt.project_id,
        prompt=prompt,
        major=chosen.major,
        minor=chosen.minor,
        patch=chosen.patch,
        content=contents.content_as_dict(content),
        resolved=[_message_as_dict(message) for message in planned.resolved],
        includes=[{"name": name, "version": which} for name, which in planned.includes],
        content_hash=contents.content_hash(content),
        note=_clean_note(note),
        bump=step,
        suggested_bump=needed,
        bump_reasons=[reason.sentence for reason in planned.suggestion.reasons],
        origin=origin,
        author=author,
        publisher_kind=actor.kind,
        publisher_name=actor.name,
        published_at=now,
        source_text=source_text,
        commit_id=commit_id,
    )
    if prompt.archived_at is not None:
        Prompt.objects.filter(pk=prompt.pk).update(archived_at=None)
    Prompt.objects.filter(pk=prompt.pk).update(changed_at=now)
    Draft.objects.filter(prompt=prompt, author=author, content=version.content).delete()
    details: dict[str, Any] = {"version": str(chosen), "hash": version.content_hash, "origin": origin.value}
    if step.rank < needed.rank:
        details |= {"suggested": needed.value, "lowered_because": lowered_because.strip()[:500]}
    audit.record(
        actor=actor, action="prompts.published", project=prompt.project, target=version, at=now, details=details
    )
    return version


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


def _message_as_dict(message: Message) -> Mapping[str, str]:
    told = {"role": message.role, "content": message.content}
    return {**told, "name": message.name} if message.name else told


def _resolve(prompt: Prompt, content: Content) -> tuple[tuple[Message, ...], tuple[tuple[str, str], ...]]:
    """The messages with every snippet in its place, and which snippets those are. Raises BadContent."""
    if not content.messages:
        raise BadContent({"messages": ["A prompt needs at least one message."]})
    wanted: dict[tuple[str, str], str] = {}
    problems: dict[str, list[str]] = {}
    for place, message in enumerate(content.messages):
        where = f"messages.{place}.content"
        if message.role == "placeholder":
            continue
        for problem in rendering.check(message.content, content.syntax):
            problems.setdefault(where, []).append(problem.sentence)
        if where in problems:
            continue
        for include in rendering.includes(message.content, content.syntax):
            if include.version is None:
                problems.setdefault(where, []).append(_unpinned(prompt, include.name))
            else:
                wanted[include.name, include.version] = where
    texts = published_texts(prompt.project_id, wanted.keys(), content.syntax)
    for (name, version), where in wanted.items():
        if (name, version) not in texts:
            problems.setdefault(where, []).append(
                f"There is no published text prompt {name}@{version} in {content.syntax.value}."
            )
    problems |= _undeclared(content, texts) if not problems else {}
    if problems:
        raise BadContent(problems)
    expanded = tuple(
        message
        if message.role == "placeholder"
        else replace(message, content=rendering.expand(message.content, content.syntax, texts))
        for message in content.messages
    )
    _require_size(expanded)
    return expanded, tuple(sorted(wanted))


def _unpinned(prompt: Prompt, name: str) -> str:
    """What to write instead of a snippet without a version."""
    latest = Version.objects.filter(prompt__name=name, project_id=prompt.project_id, prompt__archived_at=None).first()
    if latest is None:
        return f"There is no published text prompt {name} to include."
    return f"Name the version of the snippet: {name}@{latest.number} is the newest."


def _undeclared(content: Content, texts: Mapping[tuple[str, str], str]) -> dict[str, list[str]]:
    """Variables that the messages use and nobody declares."""
    declared = {variable.name for variable in content.variables}
    problems: dict[str, list[str]] = {}
    for place, message in enumerate(content.messages):
        if message.role == "placeholder":
            used = {message.content}
        else:
            used = rendering.names_used(rendering.expand(message.content, content.syntax, texts), content.syntax)
        for name in sorted(used - declared):
            problems.setdefault(f"messages.{place}.content", []).append(
                f"The variable {name} is used and not declared. Add it to the variables."
            )
    return problems


def _require_size(messages: tuple[Message, ...]) -> None:
    if sum(len(message.content) for message in messages) > contents.MAX_JSON:
        raise BadContent({"messages": [f"With its snippets, a prompt may hold {contents.MAX_JSON // 1024} KiB."]})
