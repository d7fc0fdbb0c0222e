"""Asking for promotions: the one way by which pages, programs, merges and experiments do it.

Locks are taken in this order: project, prompt, environment, promotion. Runs are started after the request is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Max

from apps.accounts.models import User
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.selectors import role_of_active
from apps.projects.types import Actor, Role
from apps.promotions import changing
from apps.promotions.models import Promotion, PromotionCheck
from apps.promotions.selectors import evidence
from apps.promotions.selectors import rules as rule_selectors
from apps.promotions.services import checking, history
from apps.promotions.services.checking import settle_checks as settle_checks
from apps.promotions.types import (
    OPEN,
    CandidateName,
    CheckState,
    PromotionKind,
    PromotionOrigin,
    PromotionState,
    Purpose,
)
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.services.prompts import locked as locked_prompt

LONGEST_WHY, LONGEST_MODEL = 10_000, 300


class MayNotAsk(Forbidden):
    """Whoever asks is not, or no longer, an editor of the project."""

    code, message = "may_not_ask", "Editors, reviewers and admins of the project ask for promotions."


class NotProtected(Conflict):
    """Nothing is asked for where everybody who writes may deploy."""

    code = "not_protected"
    message = "{environment} is not protected: deploy there directly. Promotions are for protected environments."


class LiveAlready(Conflict):
    """There is nothing to promote."""

    code, message = "live_already", "{candidate} is live in {environment} already."


class PromptArchived(Conflict):
    """An archived prompt goes nowhere."""

    code, message = "prompt_archived", "{prompt} is archived. Restore it first."


class OverrideOpen(Conflict):
    """The same is asked for as an emergency."""

    code = "override_open"
    message = "Promotion {number} asks for the same as an override. Decide on it, or withdraw it first."


class NotRecheckable(Conflict):
    """Only what was refused, or what does not hold any more, is checked anew."""

    code, message = "not_recheckable", "Promotion {number} is {state}, so there is nothing to check anew."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, by whom and how."""

    prompt: Prompt
    version: Version
    environment: Environment
    actor: Actor
    person: User | None
    model: str = ""
    why: str = ""
    purpose: Purpose = Purpose.LIVE
    kind: PromotionKind = PromotionKind.PROMOTION
    origin: PromotionOrigin = PromotionOrigin.API

    @property
    def is_merge(self) -> bool:
        """True when nobody asks but the merge that brought the version."""
        return self.origin is PromotionOrigin.GIT and self.actor.kind == "system"

    @property
    def name(self) -> CandidateName:
        """The candidate in words."""
        return CandidateName(self.prompt.name, str(self.version.number), self.model)


def ask(
    *,
    prompt: Prompt,
    version: Version,
    environment: Environment,
    actor: Actor,
    person: User | None,
    now: datetime,
    model: str = "",
    why: str = "",
    purpose: Purpose = Purpose.LIVE,
    kind: PromotionKind = PromotionKind.PROMOTION,
    origin: PromotionOrigin = PromotionOrigin.API,
) -> Promotion:
    """Ask for the version, on the model or (empty) on its own, to become live or an arm in a protected environment.

    `person` is who stands behind the request: the actor, or who made the key. Asking again for what is asked for
    already returns that promotion, checked anew if it was refused. An override waits for a decision at once; an open
    ordinary request for the same makes way for it.

    Call it outside of transactions: runs are started after the request is kept. The answer is `waiting`, `refused`
    with reasons, or `checking` while runs are under way. Raises MayNotAsk (403), NotProtected (409), LiveAlready
    (409), PromptArchived (409), OverrideOpen (409), and Invalid.
    """
    model = model.strip()
    own = version.body.model
    wanted = Wanted(
        prompt=prompt,
        version=version,
        environment=environment,
        actor=actor,
        person=person,
        model="" if model == own else model,
        why=why.strip(),
        purpose=purpose,
        kind=kind,
        origin=origin,
    )
    _require_good(wanted)
    promotion = _keep(wanted, now)
    if promotion.kind == PromotionKind.PROMOTION.value:
        checking.settle(promotion.pk, actor=actor, now=now)
    return _as_it_is(promotion.pk)


def recheck(*, promotion: Promotion, actor: Actor, person: User | None, now: datetime) -> Promotion:
    """Check it anew against the rule, the gates and what is live now.

    A refused one goes back to `checking`. One that is void, or waits with evidence that does not hold any more (it
    becomes void), is asked for anew: the answer is another promotion, whose requester is that person. One whose
    evidence holds is returned as it is. Raises NotRecheckable (409) for any other, and what `ask` raises.
    """
    promotion = _as_it_is(promotion.pk)
    wanted = Wanted(
        prompt=promotion.prompt,
        version=promotion.version,
        environment=promotion.environment,
        actor=actor,
        person=person,
        model=promotion.model,
        why=promotion.why,
        purpose=Purpose(promotion.purpose),
        origin=PromotionOrigin(promotion.origin),
    )
    _require_may_ask(wanted)
    state = PromotionState(promotion.state)
    if promotion.kind == PromotionKind.OVERRIDE.value:
        raise NotRecheckable(number=promotion.number, state=f"an override that is {state}")
    if state is PromotionState.CHECKING:
        return promotion
    if state is PromotionState.WAITING:
        problems = evidence.evidence_problems(promotion)
        if not problems:
            return promotion
        checking.make_void(promotion.pk, actor=actor, now=now)
    elif state not in (PromotionState.REFUSED, PromotionState.VOID):
        raise NotRecheckable(number=promotion.number, state=state.value)
    kept = _keep(wanted, now)
    checking.settle(kept.pk, actor=actor, now=now)
    return _as_it_is(kept.pk)


def _as_it_is(pk: int) -> Promotion:
    rows = Promotion.objects.select_related("project", "prompt", "environment", "version", "rule", "requester")
    return rows.get(pk=pk)


# --- Who may ask for what


def _require_may_ask(wanted: Wanted) -> None:
    if wanted.actor.kind == "system" or wanted.origin is PromotionOrigin.SAMPLE:
        return
    if wanted.person is None:
        if wanted.actor.kind == "user":
            raise MayNotAsk
        return  # A key that no person stands behind; its scope let it in.
    role = role_of_active(wanted.person.pk, wanted.prompt.project_id)
    if role is None or not role.allows(Role.EDITOR):
        raise MayNotAsk


def _require_good(wanted: Wanted) -> None:
    _require_may_ask(wanted)
    problems: dict[str, list[str]] = {}
    if wanted.version.prompt_id != wanted.prompt.pk:
        problems["version"] = ["This is a version of another prompt."]
    if wanted.environment.project_id != wanted.prompt.project_id:
        problems["environment"] = ["There is no such environment in this project."]
    if len(wanted.model) > LONGEST_MODEL or not wanted.model.isprintable():
        problems["model"] = [f"A model's name has at most {LONGEST_MODEL} characters."]
    if len(wanted.why) > LONGEST_WHY or "\x00" in wanted.why:
        problems["why"] = [f"At most {LONGEST_WHY:,} characters."]
    if wanted.kind is PromotionKind.OVERRIDE and not wanted.why:
        problems["why"] = ["An override needs a reason."]
    if problems:
        raise Invalid(" ".join(sentence for found in problems.values() for sentence in found), **problems)


# --- Keeping the request


@transaction.atomic
def _keep(wanted: Wanted, now: datetime) -> Promotion:
    """The promotion that was asked for: the open one, begun anew if it was refused, or a new one."""
    project = Project.objects.select_for_update(no_key=True).get(pk=wanted.prompt.project_id)
    prompt = locked_prompt(wanted.prompt)
    environment = Environment.objects.select_for_update(no_key=True).get(pk=wanted.environment.pk)
    live = evidence.live_in(prompt, environment)
    found = _asked_already(wanted, now)
    if found is not None and (wanted.is_merge or found.state != PromotionState.REFUSED.value):
        return found
    _require_sense(wanted, prompt, environment, live)
    if found is not None:
        return _begin_anew(found, wanted, live, now)
    return _create(project, wanted, live, now)


def _asked_already(wanted: Wanted, now: datetime) -> Promotion | None:
    """The open request for the same, locked. An ordinary one makes way for an override."""
    rows = Promotion.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    rows = rows.filter(prompt=wanted.prompt, environment=wanted.environment, version=wanted.version)
    if wanted.is_merge:
        # A merge asks once, whatever became of it, and not at all for what people asked for before.
        return rows.order_by("pk").first()
    found = rows.filter(model=wanted.model, purpose=wanted.purpose.value, state__in=sorted(OPEN)).first()
    if found is None or found.kind == wanted.kind.value:
        return found
    if found.kind == PromotionKind.OVERRIDE.value:
        raise OverrideOpen(number=found.number)
    reason = "It is asked for as an override instead."
    Promotion.objects.filter(pk=found.pk).update(state=PromotionState.WITHDRAWN.value, reasons=[reason], decided_at=now)
    found.state = PromotionState.WITHDRAWN.value
    history.note(promotion=found, kind="withdrawn", sentence=reason, actor=wanted.actor, now=now)
    _record(found, "promotions.withdrawn", wanted.actor, now)
    return None


def _require_sense(wanted: Wanted, prompt: Prompt, environment: Environment, live: Deployment | None) -> None:
    if prompt.archived_at is not None:
        raise PromptArchived(prompt=prompt.name)
    if not rule_selectors.is_guarded(environment):
        raise NotProtected(environment=environment.slug)
    if live is not None and (live.version_id, live.model) == (wanted.version.pk, wanted.model):
        raise LiveAlready(candidate=str(wanted.name), environment=environment.slug)


def _create(project: Project, wanted: Wanted, live: Deployment | None, now: datetime) -> Promotion:
    is_override = wanted.kind is PromotionKind.OVERRIDE
    newest = Promotion.objects.filter(project=project).aggregate(number=Max("number"))["number"]
    promotion = Promotion(
        project=project,
        number=(newest or 0) + 1,
        kind=wanted.kind.value,
        purpose=wanted.purpose.value,
        state=(PromotionState.WAITING if is_override else PromotionState.CHECKING).value,
        prompt=wanted.prompt,
        environment=wanted.environment,
        version=wanted.version,
        model=wanted.model,
        content_hash=wanted.version.content_hash,
        requester=wanted.person,
        requester_kind=wanted.actor.kind,
        requester_name=wanted.actor.name[:254],
        origin=wanted.origin.value,
        why=wanted.why,
        asked_at=now,
    )
    _freeze(promotion, wanted, live)
    promotion.save(force_insert=True)
    _make_checks(promotion)
    where = wanted.environment.slug
    what = "to be an arm of an experiment" if wanted.purpose is Purpose.EXPERIMENT else "to go live"
    sentence = f"{wanted.actor.name} asked for {wanted.name} {what} in {where}."
    if is_override:
        sentence = f"{sentence[:-1]} without passed gates: {wanted.why}"
    history.note(promotion=promotion, kind="asked", sentence=sentence, actor=wanted.actor, now=now)
    _record(promotion, "promotions.asked", wanted.actor, now)
    return promotion


def _begin_anew(promotion: Promotion, wanted: Wanted, live: Deployment | None, now: datetime) -> Promotion:
    """A refused one is checked once more, against what is there now."""
    _freeze(promotion, wanted, live)
    promotion.state, promotion.reasons, promotion.checked_at = PromotionState.CHECKING.value, [], None
    promotion.save(
        update_fields=["rule", "rule_hash", "rule_said", "changes", "live_before", "state", "reasons", "checked_at"]
    )
    promotion.checks.all().delete()
    _make_checks(promotion)
    sentence = f"{wanted.actor.name} had it checked anew."
    history.note(promotion=promotion, kind="checked_anew", sentence=sentence, actor=wanted.actor, now=now)
    _record(promotion, "promotions.checked_anew", wanted.actor, now)
    return promotion


def _freeze(promotion: Promotion, wanted: Wanted, live: Deployment | None) -> None:
    """Keep the rule as it is now, what is live, and what would change."""
    rule = rule_selectors.rule_for(wanted.prompt, wanted.environment)
    said = None if rule is None else rule_selectors.said_of(rule)
    promotion.rule = rule
    promotion.rule_hash = "" if said is None else said.hash
    promotion.rule_said = {} if said is None else said.as_dict()
    promotion.live_before = live
    before = None
    if live is not None:
        before = changing.Candidate(str(live.version.number), live.version.body, live.model)
    after = changing.Candidate(str(wanted.version.number), wanted.version.body, wanted.model)
    promotion.changes = list(changing.sentences(before, after))


def _make_checks(promotion: Promotion) -> None:
    if promotion.rule is None or promotion.kind == PromotionKind.OVERRIDE.value:
        return
    PromotionCheck.objects.bulk_create(
        PromotionCheck(promotion=promotion, gate=gate, state=CheckState.WAITING.value)
        for gate in rule_selectors.gates_of(promotion.rule)
    )


def _record(promotion: Promotion, action: str, actor: Actor, now: datetime) -> None:
    details = checking.named(promotion)
    audit.record(actor=actor, action=action, project=promotion.project, target=promotion, at=now, details=details)
