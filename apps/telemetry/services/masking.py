"""Which rules a project's telemetry is masked with, and changing them.

Each process keeps the rules of the projects that send for a few seconds, so a change holds everywhere within five.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime

from django.db import InterfaceError, OperationalError, connection, transaction

from apps.core.errors import Invalid, Unavailable
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry.masking import (
    CAPTURES,
    KINDS,
    MAX_OWN_RULES,
    NOTHING,
    TIMED_OUT,
    BadRule,
    Masker,
    OwnRule,
    Rules,
    RuleTimedOut,
    check_rule,
)
from apps.telemetry.models import MaskingSettings
from apps.telemetry.selectors.lifecycle import masking_settings, pepper_of, rules_of
from apps.telemetry.types import Batch

BELIEVED_SECONDS = 4.0
MOST_KNOWN = 1_000

_known: dict[int, tuple[float, Masker]] = {}
_guard = threading.Lock()


def rules_for(project_id: int) -> Masker:
    """The project's masker, at most five seconds old. Raises django.db.Error when the database does not answer and
    what is known is older: nothing is stored then, rather than unmasked."""
    known = _known.get(project_id)
    if known is not None and time.monotonic() - known[0] < BELIEVED_SECONDS:
        return known[1]
    asked_at = time.monotonic()
    held = masking_settings(project_id)
    masker = NOTHING if held._state.adding else Masker(rules_of(held), pepper_of(project_id, "masking"))
    with _guard:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[project_id] = (asked_at, masker)
    return masker


def mask(batch: Batch) -> None:
    """Mask a batch by its project's rules, in place. Raises Unavailable when the rules cannot be read."""
    try:
        masker = rules_for(batch.project_id)
    except (OperationalError, InterfaceError):
        connection.close()  # it may only be an old connection that is dead
        try:
            masker = rules_for(batch.project_id)
        except (OperationalError, InterfaceError) as error:
            raise Unavailable() from error
    masker.apply(batch)


def forget_rules() -> None:
    """Read the rules again before the next use."""
    with _guard:
        _known.clear()


@transaction.atomic
def change_masking(
    *,
    project: Project,
    kinds: Sequence[str],
    own: Sequence[OwnRule],
    capture: str,
    hashes_users: bool,
    actor: Actor,
    now: datetime,
) -> MaskingSettings:
    """Set the project's rules; they hold for what arrives from now on. Raises Invalid with what is wrong of them."""
    _require_known(kinds, capture)
    _require_usable(own)
    held, _ = MaskingSettings.objects.select_for_update().get_or_create(pk=project.pk)
    wanted = {
        "kinds": [kind for kind in KINDS if kind in kinds],
        "own": [{"name": rule.name, "pattern": rule.pattern} for rule in own],
        "capture": capture,
        "hashes_users": hashes_users,
    }
    changes = [
        f"{field}: {getattr(held, field)} → {value}" for field, value in wanted.items() if getattr(held, field) != value
    ]
    if changes:
        for field, value in wanted.items():
            setattr(held, field, value)
        held.changed_at = now
        held.save()
        audit.record(
            actor=actor,
            action="telemetry.masking_changed",
            project=project,
            target=project,
            at=now,
            details={"changes": changes},
        )
        transaction.on_commit(forget_rules)
    return held


def _require_known(kinds: Sequence[str], capture: str) -> None:
    if capture not in CAPTURES:
        raise Invalid(capture=[f"Choose one of {', '.join(CAPTURES)}."])
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise Invalid(kinds=[f"There is no rule {', '.join(unknown)}. There are: {', '.join(KINDS)}."])


def _require_usable(own: Sequence[OwnRule]) -> None:
    if len(own) > MAX_OWN_RULES:
        raise Invalid(own=[f"A project may have {MAX_OWN_RULES} rules of its own."])
    names = [rule.name for rule in own]
    problems = [f"There are two rules named {name}." for name in sorted(set(names)) if names.count(name) > 1]
    for rule in own:
        try:
            check_rule(rule)
        except BadRule as error:
            problems.append(f"{rule.name or '(no name)'}: {error}")
    if problems:
        raise Invalid(own=problems)


def try_out(*, project_id: int, rules: Rules, text: str) -> str:
    """The text as it would be stored under these rules, as the input of a call. Stores nothing.

    Raises Invalid with what is wrong of the rules.
    """
    _require_known(rules.kinds, rules.capture)
    _require_usable(rules.own)
    masker = Masker(rules, pepper_of(project_id, "masking"))
    if rules.capture == "off":
        return ""
    if rules.capture == "hashed":
        return masker.hashed_content(text)
    try:
        return masker.masked(text)
    except RuleTimedOut:
        return TIMED_OUT
