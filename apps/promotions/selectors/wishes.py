"""What somebody is about to ask for: the rule that applies, what is live, what differs, which runs would start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.accounts.models import User
from apps.core.errors import DomainError, NotFound
from apps.evals.models import EvalRun, Gate
from apps.evals.selectors.estimates import estimate
from apps.evals.selectors.gates import config_of, newest_run_for
from apps.evals.types import RunSpec
from apps.projects.models import Environment, Project
from apps.projects.selectors import list_environments
from apps.promotions.models import ReleaseRule
from apps.promotions.rules import RuleSaid
from apps.promotions.selectors import rules
from apps.promotions.selectors.evidence import find_report
from apps.promotions.selectors.promotion_facts import model_of
from apps.prompts import diff_lines
from apps.prompts.diff_lines import Shown
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.selectors import get_prompt, get_version, list_versions
from apps.prompts.selectors.prompts import list_offered
from apps.providers.selectors.connections import offered_models

VERSIONS_OFFERED = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """A candidate and a place, as far as they are chosen; what can be chosen; and what asking would mean."""

    project: Project
    prompts: tuple[str, ...]
    places: tuple[Environment, ...]
    models: tuple[str, ...]
    versions: tuple[str, ...] = ()
    prompt: Prompt | None = None
    version: Version | None = None
    environment: Environment | None = None
    model: str = ""
    rule: ReleaseRule | None = None
    said: RuleSaid | None = None
    live: Deployment | None = None
    difference: Shown | None = None
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """True when a version and a place are chosen."""
        return self.version is not None and self.environment is not None

    @property
    def is_live(self) -> bool:
        """True when just that is live there already."""
        live, version = self.live, self.version
        return live is not None and version is not None and (live.version_id, live.model) == (version.pk, self.model)

    @property
    def model_before(self) -> str:
        """The model that answers there now; empty when nothing does or the caller chooses."""
        return "" if self.live is None else model_of(self.live.version, self.live.model)

    @property
    def model_after(self) -> str:
        """The model that would answer."""
        return "" if self.version is None else model_of(self.version, self.model)


def read_wish(project: Project, told: Mapping[str, str], *, now: datetime) -> Wish:
    """The wish of these words: the newest version and the first protected environment where they name none.

    What cannot be found is told as the wish's problem.
    """
    offered = list_offered(project)
    prompts = tuple(one.name for one in offered)
    places = tuple(one for one in list_environments(project) if rules.is_guarded(one))
    models = tuple(one.name for one in offered_models(project, now=now) if not one.is_embedding)
    wish = {"project": project, "prompts": prompts, "places": places, "models": models, "model": told.get("model", "")}
    if not told.get("prompt"):
        return Wish(**wish)  # type: ignore[arg-type]
    try:
        known = next((one for one in offered if one.name == told["prompt"]), None)
        prompt = known or get_prompt(project, told["prompt"])
    except NotFound as error:
        return Wish(**wish, problem=error.text)  # type: ignore[arg-type]
    versions = list_versions(prompt, limit=VERSIONS_OFFERED)
    version, problem = _version(prompt, versions, told.get("version", ""))
    if version is not None and wish["model"] == version.body.model:
        wish["model"] = ""
    numbers = tuple(str(one.number) for one in versions)
    named = told.get("environment", "")
    place = next((one for one in places if one.slug == named), None if named else next(iter(places), None))
    problem = f"{named} is no protected environment of this project." if place is None else problem
    rule = None if place is None else rules.rule_for(prompt, place)
    live = None if place is None else _live(prompt, place)
    return Wish(
        **wish,  # type: ignore[arg-type]
        versions=numbers,
        prompt=prompt,
        version=version,
        environment=place,
        rule=rule,
        said=None if rule is None else rules.said_of(rule),
        live=live,
        difference=None if live is None or version is None else diff_lines.shown(live.version.body, version.body),
        problem=problem,
    )


def _version(prompt: Prompt, versions: list[Version], number: str) -> tuple[Version | None, str]:
    """The version of this number, else the newest; and the sentence that it is not there."""
    for one in versions:
        if str(one.number) == number:
            return one, ""
    if not number:
        return (versions[0] if versions else None), ""
    try:
        return get_version(prompt, number), ""
    except NotFound as error:
        return None, error.text


def _live(prompt: Prompt, environment: Environment) -> Deployment | None:
    rows = Deployment.objects.select_related("version").filter(prompt=prompt, environment=environment, ended_at=None)
    return rows.first()


@dataclass(frozen=True, slots=True)
class WishedRun:
    """A gate's run: the one that is used again, or what a new one would take. Unknown cost is None."""

    gate: Gate
    run: EvalRun | None = None
    examples: int = 0
    usd: Decimal | None = None
    seconds: float | None = None
    problem: str = ""

    @property
    def milliseconds(self) -> float | None:
        """What it would take, in milliseconds."""
        return None if self.seconds is None else self.seconds * 1000


def runs_of(wish: Wish, *, author: User, now: datetime) -> list[WishedRun]:
    """For each gate of the rule the run that would judge the candidate."""
    if wish.rule is None or wish.version is None:
        return []
    return [_run_of(wish, wish.version, gate, author, now) for gate in rules.gates_of(wish.rule)]


def _run_of(wish: Wish, version: Version, gate: Gate, author: User, now: datetime) -> WishedRun:
    config = config_of(gate)
    model = wish.model or config.model or version.body.model
    report = find_report(gate, version, model)
    found = newest_run_for(gate, version=version, model=model) if report is None else report.run
    if found is not None:
        return WishedRun(gate, found)
    spec = RunSpec(
        eval_set=gate.eval_set.slug,
        scorers=tuple(one.choice for one in config.scorers),
        prompt=version.prompt.name,
        version=str(version.number),
        model=model,
        repetitions=config.repetitions,
        budget_usd=config.budget_usd,
        feature=gate.feature,
        gate=gate.slug,
    )
    try:
        told = estimate(wish.project, spec, now, author=author)
    except DomainError as error:
        return WishedRun(gate, problem=error.text)
    usd = None if told.model_usd is None or told.judge_usd is None else told.model_usd + told.judge_usd
    return WishedRun(gate, None, told.examples, usd, told.seconds)
