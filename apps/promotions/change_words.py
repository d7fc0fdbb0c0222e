"""What happened, in sentences for somebody who asks why a number moved. Knows no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core import formats
from apps.promotions.deployment_words import LOOKS, Candidate, Event, EventKind, SplitSaid

Words = str | Promise

WORDS: dict[str, tuple[str, Words]] = {
    "providers.price_added": ("coin", _("New price of %(target)s")),
    "providers.price_ended": ("coin", _("A price of %(target)s ends")),
    "providers.connection_added": ("link", _("Connection %(target)s added")),
    "providers.connection_changed": ("link", _("Connection %(target)s changed")),
    "providers.connection_enabled": ("link", _("Connection %(target)s enabled")),
    "providers.connection_disabled": ("link", _("Connection %(target)s disabled")),
    "providers.connection_removed": ("link", _("Connection %(target)s removed")),
    "projects.key_created": ("key", _("Key %(target)s made")),
    "projects.key_rotated": ("key", _("Key %(target)s replaced")),
    "projects.key_revoked": ("key", _("Key %(target)s revoked")),
    "projects.changed": ("gear", _("Settings of the project changed")),
    "projects.feature_added": ("box-open", _("Feature %(target)s added")),
    "projects.environment_added": ("box-open", _("Environment %(target)s added")),
    "projects.environment_protected": ("shield", _("Environment %(target)s protected")),
    "projects.environment_unprotected": ("shield", _("Protection of %(target)s lifted")),
    "projects.environment_removed": ("box-open", _("Environment %(target)s removed")),
    "prompts.published": ("pen", _("%(target)s published")),
    "prompts.renamed": ("pen", _("Prompt %(target)s renamed")),
    "prompts.archived": ("box-stale", _("Prompt %(target)s archived")),
    "prompts.restored": ("box-open", _("Prompt %(target)s restored")),
    "evals.gate_created": ("shield", _("Gate %(target)s made")),
    "evals.gate_changed": ("shield", _("Gate %(target)s changed")),
    "evals.gate_archived": ("shield", _("Gate %(target)s archived")),
    "evals.gate_restored": ("shield", _("Gate %(target)s restored")),
    "evals.scorer_created": ("list", _("Scorer %(target)s made")),
    "evals.scorer_changed": ("list", _("Scorer %(target)s changed")),
    "evals.scorer_version_added": ("list", _("New version of a scorer: %(target)s")),
    "evals.set_revised": ("table", _("Eval set changed: %(target)s")),
    "evals.set_minimum_lowered": ("warn", _("Fewer examples needed in %(target)s")),
    "evals.online_created": ("list", _("Online eval %(target)s made")),
    "evals.online_changed": ("list", _("Online eval %(target)s changed")),
    "evals.online_paused": ("list", _("Online eval %(target)s paused")),
    "evals.online_resumed": ("list", _("Online eval %(target)s resumed")),
    "evals.online_deleted": ("list", _("Online eval %(target)s removed")),
    "promotions.rule_changed": ("shield", _("Release rule changed: %(target)s")),
    "promotions.rule_removed": ("shield", _("Release rule removed: %(target)s")),
    "promotions.watch_breached": ("warn", _("A watched figure crossed its limit: %(target)s")),
    "promotions.experiment_changed": ("chart", _("Experiment %(target)s changed")),
    "telemetry.masking_changed": ("lock", _("Masking of telemetry changed")),
    "telemetry.retention_changed": ("trash", _("Retention of telemetry changed")),
    "telemetry.review_rule_added": ("list", _("Review rule added: %(target)s")),
    "telemetry.review_rule_removed": ("list", _("Review rule removed: %(target)s")),
    "telemetry.sample_created": ("download", _("Sample data loaded")),
    "telemetry.sample_removed": ("download", _("Sample data removed")),
}
"""Icon and sentence of what can move a number, besides what timelines of deployments tell; the rest is left out."""


FIRST_CALL = "first_call"

TOLD: dict[EventKind, Words] = {
    EventKind.DEPLOY: _("%(prompt)s %(candidate)s went live in %(environment)s"),
    EventKind.PROMOTION: _("%(prompt)s %(candidate)s was promoted to %(environment)s"),
    EventKind.OVERRIDE: _("%(prompt)s %(candidate)s was put into %(environment)s by override"),
    EventKind.ROLLBACK: _("%(prompt)s was rolled back to %(candidate)s in %(environment)s"),
    EventKind.AUTOMATIC: _("A watch rolled %(prompt)s back to %(candidate)s in %(environment)s"),
    EventKind.DRILL: _("A drill put %(prompt)s %(candidate)s into %(environment)s"),
    EventKind.WITHDRAWN: _("%(prompt)s %(candidate)s was taken down in %(environment)s"),
    EventKind.STARTED: _(
        "Experiment %(experiment)s began with %(share)s of the %(units)s of %(prompt)s in %(environment)s"
    ),
    EventKind.RAMPED: _(
        "Experiment %(experiment)s went from %(before)s to %(share)s of the %(units)s of %(prompt)s in %(environment)s"
    ),
    EventKind.STOPPED: _("Experiment %(experiment)s stopped splitting %(prompt)s in %(environment)s"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed, `ahead` of the moment that is asked about. `event` says what was deployed or split."""

    at: datetime
    ahead: timedelta
    kind: str
    icon: str
    tone: str
    sentence: str
    details: str = ""
    by: str = ""
    event: Event | None = None

    @property
    def before(self) -> str:
        """How long before the moment, in words."""
        if self.ahead < timedelta(seconds=5):
            return gettext("just before")
        return gettext("%(age)s before") % {"age": formats.age(self.at, self.at + self.ahead)}

    @property
    def is_first_call(self) -> bool:
        """True for the first calls of a model, known to the hour."""
        return self.kind == FIRST_CALL


def event_sentence(event: Event) -> str:
    """What happened to what callers get, with what was there before; without a full stop."""
    split = event.split
    told = str(TOLD[event.kind]) % {
        "prompt": event.prompt,
        "candidate": _candidate(event.candidate),
        "environment": event.environment,
        "experiment": "" if split is None else split.experiment,
        "share": "" if split is None else split.part,
        "before": event.part_before,
        "units": "" if split is None else _units(split),
    }
    before = event.line.before if event.line is not None and event.kind is not EventKind.WITHDRAWN else None
    if before is None:
        return told
    return gettext("%(told)s, in place of %(before)s") % {"told": told, "before": _candidate(before)}


def _candidate(candidate: Candidate | None) -> str:
    if candidate is None or not candidate.model:
        return "" if candidate is None else candidate.version
    return gettext("%(version)s on %(model)s") % {"version": candidate.version, "model": candidate.model}


def _units(split: SplitSaid) -> str:
    return gettext("sessions") if split.unit == "session" else gettext("users")


def change_of(event: Event, at: datetime) -> Change:
    """The event as something that changed before the moment `at`."""
    icon, tone = LOOKS[event.kind]
    sentence = event_sentence(event)
    return Change(event.at, at - event.at, event.kind.value, icon, tone, sentence, event.reason, event.by, event)


def lead(nearest: Change | None, hours: int) -> str:
    """What the page says first: the nearest change, or that there was none in these hours."""
    if nearest is None:
        return gettext("Nothing changed in the %(hours)s hours before") % {"hours": hours}
    return f"{nearest.before}: {nearest.sentence}"


def sentence_of(action: str, target: str) -> tuple[str, str]:
    """Icon and sentence of an entry with one of the known actions."""
    icon, words = WORDS[action]
    return icon, str(words) % {"target": target}


def is_about(target_kind: str, target_name: str, details: Mapping[str, Any], *, prompt: str, environment: str) -> bool:
    """Whether an entry concerns the prompt and the environment, empty for any; one that names neither concerns all."""
    where = target_name if target_kind == "environment" else details.get("environment")
    if environment and where and where != environment:
        return False
    if prompt and target_kind in {"prompt", "version"}:
        return target_name == prompt or target_name.startswith(f"{prompt}@")
    return True
