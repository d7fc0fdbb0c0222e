"""Making, changing, renaming and archiving prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit
from apps.projects.models import Membership, Project
from apps.projects.types import Actor
from apps.prompts import names
from apps.prompts.content import NOT_IN_TEXT
from apps.prompts.models import Prompt

MOST_PROMPTS = 10_000
MOST_TAGS, LONGEST_TAG = 20, 64
LONGEST_FEATURE = 128


class TooManyPrompts(Conflict):
    """The project has as many prompts as it may have."""

    code, message = "too_many_prompts", "A project may have {most} prompts. Begin another project."


class NameTaken(Invalid):
    """Another prompt has, or had, this name."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(name=[f"There is a prompt that has, or had, the name {name}. Choose another one."])


class FeatureNeedsAdmin(Forbidden):
    """Release rules may be for a feature, so whoever changes a prompt's feature may change what it must show."""

    code, message = "admin_needed", "To change the feature of a prompt takes an admin. Ask one."


def _require_good_name(project: Project, name: str, *, but: int | None = None) -> None:
    fault = names.fault_of(name)
    if fault is not None:
        raise Invalid(name=[fault])
    takers = Prompt.objects.filter(Q(name=name) | Q(former_names__contains=[name]), project=project)
    if set(takers.values_list("pk", flat=True)) - {but}:
        raise NameTaken(name)


def _lock_project(project: Project) -> None:
    """Lock the project's row, so that prompts are counted and named by one at a time."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def locked(prompt: Prompt) -> Prompt:
    """The prompt as it is now, its row locked until the transaction ends. Taken before rows of versions and drafts."""
    rows = Prompt.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    return rows.get(pk=prompt.pk)


@transaction.atomic
def create_prompt(
    *,
    project: Project,
    name: str,
    actor: Actor,
    now: datetime,
    description: str = "",
    owner: User | None = None,
    tags: Iterable[str] = (),
) -> Prompt:
    """A prompt without any content yet. Raises Invalid for a bad name, owner or tags, NameTaken, TooManyPrompts."""
    _lock_project(project)
    _require_good_name(project, name)
    _require_member(project, owner)
    if Prompt.objects.filter(project=project).count() >= MOST_PROMPTS:
        raise TooManyPrompts(most=MOST_PROMPTS)
    prompt = Prompt.objects.create(
        project=project,
        name=name,
        description=_clean_description(description),
        owner=owner,
        tags=_clean_tags(tags),
        created_at=now,
        changed_at=now,
        created_by=actor.name,
    )
    audit.record(actor=actor, action="prompts.created", project=project, target=prompt, at=now)
    return prompt


@transaction.atomic
def change_prompt(
    *,
    prompt: Prompt,
    actor: Actor,
    now: datetime,
    description: str | None = None,
    owner: User | None = None,
    keeps_owner: bool = False,
    tags: Iterable[str] | None = None,
    feature: str | None = None,
    is_admin: bool = False,
) -> Prompt:
    """Set what stands around the versions: description, owner, tags, feature; None (`keeps_owner`) leaves it as it is.

    Raises Invalid, and FeatureNeedsAdmin for another feature.
    """
    prompt = locked(prompt)
    before = _around(prompt)
    if description is not None:
        prompt.description = _clean_description(description)
    if not keeps_owner:
        _require_member(prompt.project, owner)
        prompt.owner = owner
    if tags is not None:
        prompt.tags = _clean_tags(tags)
    details: dict[str, audit.Detail] = {}
    if feature is not None and (clean := _clean_feature(feature)) != prompt.feature:
        if not is_admin:
            raise FeatureNeedsAdmin
        details = {"feature": [prompt.feature, clean]}
        prompt.feature = clean
    if before != _around(prompt):
        prompt.changed_at = now
        prompt.save(update_fields=["description", "owner", "tags", "feature", "changed_at"])
        audit.record(
            actor=actor, action="prompts.changed", project=prompt.project, target=prompt, at=now, details=details
        )
    return prompt


def _around(prompt: Prompt) -> tuple[str, int | None, list[str], str]:
    return prompt.description, prompt.owner_id, list(prompt.tags), prompt.feature


@transaction.atomic
def rename_prompt(*, prompt: Prompt, name: str, actor: Actor, now: datetime) -> Prompt:
    """Give the prompt another name. Callers who use a former one are still answered.

    Raises Invalid for a bad name, NameTaken.
    """
    _lock_project(prompt.project)
    prompt = locked(prompt)
    if prompt.name == name:
        return prompt
    _require_good_name(prompt.project, name, but=prompt.pk)
    details = {"from": prompt.name, "to": name}
    prompt.former_names = [one for one in [*prompt.former_names, prompt.name] if one != name]
    prompt.name, prompt.changed_at = name, now
    prompt.save(update_fields=["name", "former_names", "changed_at"])
    audit.record(actor=actor, action="prompts.renamed", project=prompt.project, target=prompt, at=now, details=details)
    return prompt


class StillLive(Conflict):
    """A prompt that is live somewhere is not archived."""

    code, message = "still_live", "This prompt is live in {where}. End that first, or leave the prompt as it is."


@transaction.atomic
def archive_prompt(*, prompt: Prompt, actor: Actor, now: datetime) -> Prompt:
    """Take the prompt off the lists; its versions stay. Raises StillLive while it is live anywhere."""
    prompt = locked(prompt)
    live = prompt.deployments.filter(ended_at=None).values_list("environment__slug", flat=True)
    if live:
        raise StillLive(where=", ".join(sorted(live)))
    if prompt.archived_at is None:
        prompt.archived_at = now
        prompt.save(update_fields=["archived_at"])
        audit.record(actor=actor, action="prompts.archived", project=prompt.project, target=prompt, at=now)
    return prompt


@transaction.atomic
def restore_prompt(*, prompt: Prompt, actor: Actor, now: datetime) -> Prompt:
    """Put an archived prompt back on the lists."""
    prompt = locked(prompt)
    if prompt.archived_at is not None:
        prompt.archived_at = None
        prompt.save(update_fields=["archived_at"])
        audit.record(actor=actor, action="prompts.restored", project=prompt.project, target=prompt, at=now)
    return prompt


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change about a prompt; None leaves it as it is. With `sets_owner`, `owner` None means nobody.

    `is_admin`: whether whoever changes it is one.
    """

    name: str | None = None
    description: str | None = None
    sets_owner: bool = False
    owner: User | None = None
    tags: list[str] | None = None
    feature: str | None = None
    is_admin: bool = False
    is_archived: bool | None = None


@transaction.atomic
def amend_prompt(*, prompt: Prompt, changes: Changes, actor: Actor, now: datetime) -> Prompt:
    """Make all the changes, or none of them. Raises what changing, renaming and archiving raise."""
    if changes.name is not None:
        prompt = rename_prompt(prompt=prompt, name=changes.name, actor=actor, now=now)
    prompt = change_prompt(
        prompt=prompt,
        description=changes.description,
        owner=changes.owner,
        keeps_owner=not changes.sets_owner,
        tags=changes.tags,
        feature=changes.feature,
        is_admin=changes.is_admin,
        actor=actor,
        now=now,
    )
    if changes.is_archived is not None:
        act = archive_prompt if changes.is_archived else restore_prompt
        prompt = act(prompt=prompt, actor=actor, now=now)
    return prompt


def _require_member(project: Project, owner: User | None) -> None:
    if owner is not None and not Membership.objects.filter(project=project, user=owner).exists():
        raise Invalid(owner=["The owner must be a member of the project."])


def _clean_description(text: str) -> str:
    if len(text) > 10_000:
        raise Invalid(description=["At most 10,000 characters."])
    return NOT_IN_TEXT.sub("\N{REPLACEMENT CHARACTER}", text.strip())


def _clean_feature(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_FEATURE or NOT_IN_TEXT.search(text):
        raise Invalid(feature=[f"At most {LONGEST_FEATURE} characters."])
    return text


def _clean_tags(tags: Iterable[str]) -> list[str]:
    """The tags without blanks around them, each once, in the order given."""
    clean = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(clean) > MOST_TAGS or any(len(tag) > LONGEST_TAG or NOT_IN_TEXT.search(tag) for tag in clean):
        raise Invalid(tags=[f"At most {MOST_TAGS} tags of {LONGEST_TAG} characters."])
    return clean
