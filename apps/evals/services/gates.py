"""Making gates, changing them, and judging runs by them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.core import ids
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.evals import gating
from apps.evals.gate_config import USUAL_EXAMPLES, GateConfig, read_config
from apps.evals.models import EvalRun, EvalSet, Gate, GateReport
from apps.evals.selectors import gate_evidence
from apps.evals.selectors import gates as selectors
from apps.evals.selectors.scorers import resolve_choices
from apps.evals.services.runs import start_run
from apps.evals.types import Json, RunSource, RunSpec
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.types import SYSTEM, Actor
from apps.prompts.models import Version

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
RESERVED = frozenset({"new"})
MOST_GATES = 200


class GateExists(Conflict):
    """The project has a gate with this slug."""

    code, message = "gate_exists", "There already is a gate called {slug}. Choose another short name."


class TooManyGates(Conflict):
    """The project has as many gates as it may have."""

    code, message = "too_many_gates", "A project has at most {most} gates. Change one that is there."


class LoweringNeedsAdmin(Forbidden):
    """Fewer examples than usual weaken every verdict, so an admin answers for it."""

    code = "admin_needed"
    message = "Asking for fewer than {usual} examples takes an admin. Ask one, or add examples to the set."


class OtherSet(Invalid):
    """The run is over another set."""

    code, message = "other_set", "Run {run} is over {eval_set}; this gate is over {wanted}. Choose a run over that set."


class GateArchived(Conflict):
    """An archived gate judges nothing."""

    code, message = "gate_archived", "The gate {slug} is archived. Restore it first."


@dataclass(frozen=True, slots=True)
class NewGate:
    """What a gate is made of. An empty slug is made from the name."""

    name: str
    eval_set: EvalSet
    config: Mapping[str, Json]
    slug: str = ""
    description: str = ""
    feature: str = ""


@transaction.atomic
def create_gate(*, project: Project, gate: NewGate, actor: Actor, is_admin: bool, now: datetime) -> Gate:
    """A gate over a set. Raises BadGate, Invalid, GateExists, TooManyGates, and LoweringNeedsAdmin."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    slug = gate.slug or ids.slugify(gate.name, limit=100)
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        raise Invalid(slug=["Up to 100 lower-case letters, digits and hyphens, and not new."])
    if gate.eval_set.project_id != project.pk:
        raise Invalid(eval_set=["There is no such eval set in this project."])
    if Gate.objects.filter(project=project, slug=slug).exists():
        raise GateExists(slug=slug)
    if Gate.objects.filter(project=project).count() >= MOST_GATES:
        raise TooManyGates(most=MOST_GATES)
    config = _read(project, gate.eval_set, gate.config)
    _require_may_lower(config, USUAL_EXAMPLES, is_admin)
    made = Gate.objects.create(
        project=project,
        slug=slug,
        name=_good_name(gate.name),
        description=_good_text("description", gate.description, 10_000),
        eval_set=gate.eval_set,
        feature=_good_text("feature", gate.feature or gate.eval_set.feature, 128),
        config=config.as_dict(),
        config_hash=config.hash,
        created_at=now,
        created_by=actor.name[:254],
        changed_at=now,
    )
    details: dict[str, audit.Detail] = {
        "eval_set": gate.eval_set.slug,
        "minimum_examples": config.minimum_examples,
        "conditions": config.hash,
    }
    audit.record(actor=actor, action="evals.gate_created", project=project, target=made, at=now, details=details)
    return made


@transaction.atomic
def change_gate(
    *,
    gate: Gate,
    actor: Actor,
    is_admin: bool,
    now: datetime,
    config: Mapping[str, Json] | None = None,
    name: str | None = None,
    description: str | None = None,
    feature: str | None = None,
) -> Gate:
    """Set what is given and leave the rest. Other conditions void every report that was made by the old ones.

    Raises BadGate, Invalid, and LoweringNeedsAdmin when fewer examples than before and than usual are asked for.
    """
    gate = locked(gate)
    before, before_hash = selectors.config_of(gate), gate.config_hash
    if config is not None:
        read = _read(gate.project, gate.eval_set, config)
        _require_may_lower(read, min(before.minimum_examples, USUAL_EXAMPLES), is_admin)
        gate.config, gate.config_hash = read.as_dict(), read.hash
    if name is not None:
        gate.name = _good_name(name)
    if description is not None:
        gate.description = _good_text("description", description, 10_000)
    if feature is not None:
        gate.feature = _good_text("feature", feature, 128)
    gate.changed_at = now
    gate.save(update_fields=["config", "config_hash", "name", "description", "feature", "changed_at"])
    after = selectors.config_of(gate)
    changed = [name for name, value in after.as_dict().items() if value != before.as_dict()[name]]
    details: dict[str, audit.Detail] = {"changed": changed}
    if gate.config_hash != before_hash:
        details |= {"before": before_hash, "after": gate.config_hash}
    if after.minimum_examples != before.minimum_examples:
        details["minimum_examples"] = [before.minimum_examples, after.minimum_examples]
    audit.record(actor=actor, action="evals.gate_changed", project=gate.project, target=gate, at=now, details=details)
    return gate


@transaction.atomic
def archive_gate(*, gate: Gate, actor: Actor, now: datetime, is_archived: bool = True) -> Gate:
    """Take the gate off the lists, or put it back. Its reports stay."""
    gate = locked(gate)
    if (gate.archived_at is not None) != is_archived:
        gate.archived_at = now if is_archived else None
        gate.save(update_fields=["archived_at"])
        action = "evals.gate_archived" if is_archived else "evals.gate_restored"
        audit.record(actor=actor, action=action, project=gate.project, target=gate, at=now)
    return gate


def locked(gate: Gate) -> Gate:
    """The gate as it is now, its row locked until the transaction ends."""
    rows = Gate.objects.select_for_update(no_key=True, of=("self",)).select_related("project", "eval_set")
    return rows.get(pk=gate.pk)


def _read(project: Project, eval_set: EvalSet, given: Mapping[str, Json]) -> GateConfig:
    """The conditions, with everything that they name being there."""
    config = read_config(given)
    resolve_choices(project, [one.choice for one in config.scorers])
    baseline = config.baseline
    if baseline.kind == "live" and not Environment.objects.filter(project=project, slug=baseline.environment).exists():
        raise gating.BadGate({"baseline.environment": [f"There is no environment {baseline.environment}."]})
    runs = EvalRun.objects.filter(project=project, eval_set=eval_set)
    if baseline.kind == "run" and not runs.filter(number=baseline.run or 0).exists():
        raise gating.BadGate({"baseline.run": [f"There is no run {baseline.run} over this set."]})
    return config


def _require_may_lower(config: GateConfig, usual: int, is_admin: bool) -> None:
    if config.minimum_examples < usual and not is_admin:
        raise LoweringNeedsAdmin(usual=usual)


def _good_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid(name=["A name has 1 to 200 characters."])
    return name


def _good_text(field: str, text: str, most: int) -> str:
    if len(text) > most or "\x00" in text:
        raise Invalid(None, **{field: [f"At most {most:,} characters."]})
    return text.strip()


# --- Judging ------------------------------------------------------------------------------------------------


@transaction.atomic
def check_gate(*, gate: Gate, run: EvalRun, actor: Actor, now: datetime, baseline: EvalRun | None = None) -> GateReport:
    """Judge the run and keep the verdict with its numbers and with the hashes that it holds for.

    Without a baseline, the one that the conditions name. A run that did not end gets no verdict but `cannot_tell`.
    Raises OtherSet, NotFound and GateArchived.
    """
    gate = locked(gate)
    _require_fits(gate, run)
    config = selectors.config_of(gate)
    found = gate_evidence.baseline_for(gate, config, run)
    if baseline is not None:
        _require_fits(gate, baseline)
        found = gate_evidence.FoundBaseline(baseline)
    evidence = gate_evidence.evidence_of(gate, config, run, found)
    outcome = gating.judge(config, evidence)
    report = GateReport.objects.create(
        project_id=gate.project_id,
        gate=gate,
        run=run,
        baseline=found.run,
        verdict=outcome.verdict.value,
        conditions=outcome.as_dict(),
        config=config.as_dict(),
        bound_to=binding_of(gate, run),
        actor_name=actor.name[:254],
        made_at=now,
    )
    audit.record(
        actor=actor,
        action="evals.gate_checked",
        project=gate.project,
        target=gate,
        at=now,
        details={"run": run.number, "verdict": report.verdict, "report": str(report.uuid)},
    )
    return report


def judge_ended(*, now: datetime) -> int:
    """Judge the runs that were started for a gate and have ended since, each once; how many those were."""
    return sum(_judge_once(run, now) for run in selectors.list_unjudged(now=now))


@transaction.atomic
def _judge_once(run: EvalRun, now: datetime) -> int:
    assert run.gate is not None
    gate = locked(run.gate)
    if gate.archived_at is not None or GateReport.objects.filter(gate=gate, run=run).exists():
        return 0
    check_gate(gate=gate, run=run, actor=SYSTEM, now=now)
    return 1


def _require_fits(gate: Gate, run: EvalRun) -> None:
    if run.project_id != gate.project_id:
        raise NotFound
    if run.eval_set_id != gate.eval_set_id:
        raise OtherSet(run=run.number, eval_set=run.eval_set.slug, wanted=gate.eval_set.slug)
    if gate.archived_at is not None:
        raise GateArchived(slug=gate.slug)


def binding_of(gate: Gate, run: EvalRun) -> dict[str, Any]:
    """What a verdict over the run holds for, and for nothing else."""
    return {
        "prompt": run.prompt_name,
        "version": run.prompt_version,
        "content": run.content_hash,
        "revision": run.revision_hash,
        "scorers": selectors.used_versions(run),
        "model": run.model,
        "parameters": _hash(run.parameters),
        "conditions": gate.config_hash,
    }


def _hash(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Currency:
    """Whether a report still holds, and if not, what changed."""

    is_current: bool
    why: tuple[str, ...] = ()


def is_current(
    report: GateReport,
    *,
    content_hash: str | None = None,
    model: str | None = None,
    parameters: Mapping[str, Json] | None = None,
) -> Currency:
    """Whether the verdict holds for what is there now: the conditions, the set, the scorers.

    `content_hash`, `model` and `parameters` are those of what somebody wants to make live; None: those of the run.
    """
    gate, bound = report.gate, report.bound_to
    why = []
    if content_hash is not None and content_hash != bound["content"]:
        why.append("The prompt's content is another one.")
    if model is not None and model != bound["model"]:
        why.append(f"It was judged on {bound['model']}, not on {model}.")
    if parameters is not None and _hash(dict(parameters)) != bound["parameters"]:
        why.append("The parameters are others.")
    if gate.config_hash != bound["conditions"]:
        why.append("The conditions of the gate changed.")
    head = selectors.head_of(gate.eval_set)
    if head is None or head.content_hash != bound["revision"]:
        why.append("The examples of the set changed.")
    for slug, config_hash in selectors.wanted_versions(gate).items():
        if bound["scorers"].get(slug) != config_hash:
            why.append(f"The scorer {slug} changed.")
    if gate.archived_at is not None:
        why.append("The gate is archived.")
    return Currency(not why, tuple(why))


# --- Runs that a gate starts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """What shall be judged: a version of a prompt (None: the draft of who asks), on its own model or on another."""

    prompt: str
    version: Version | None
    model: str = ""


def run_for(
    *, gate: Gate, candidate: Candidate, actor: Actor, source: RunSource, now: datetime, author: User | None = None
) -> EvalRun:
    """A run of the candidate as the gate asks for it: the one that there is over the set as it is now, else a new one.

    Raises what `runs.start_run` raises.
    """
    config = selectors.config_of(gate)
    model = candidate.model or config.model
    if gate.archived_at is not None:
        raise GateArchived(slug=gate.slug)
    if candidate.version is not None:
        found = selectors.newest_run_for(gate, version=candidate.version, model=model)
        if found is not None:
            return found
    spec = RunSpec(
        eval_set=gate.eval_set.slug,
        scorers=tuple(one.choice for one in config.scorers),
        prompt=candidate.prompt,
        version="draft" if candidate.version is None else str(candidate.version.number),
        model=model,
        repetitions=config.repetitions,
        budget_usd=config.budget_usd,
        feature=gate.feature,
        gate=gate.slug,
    )
    return start_run(project=gate.project, spec=spec, actor=actor, source=source, now=now, author=author)
