"""Rules, gates, candidates and their evidence by the shortest way, through the real services.

The candidate's prompt is `{{question}}` on the test model `echo`, and each example expects its own question: a version
that says just that passes, and one that says anything besides fails (`GOOD` and `BAD`), whether a worker executes the
run or `finish_run` does.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import User
from apps.core import clock
from apps.evals.models import EvalRun, EvalSet, Gate, GateReport, Result, ResultScore, RunScorer, Scorer
from apps.evals.scoring.registry import KINDS, score_with
from apps.evals.services import gates, run_ending
from apps.evals.services.executing_scores import together
from apps.evals.services.gates import Candidate, NewGate
from apps.evals.types import Case, RunSource, RunState
from apps.projects.models import Environment, Membership, Project, Role
from apps.promotions.models import Promotion, ReleaseRule
from apps.promotions.services import asking, rules
from apps.promotions.services.rules import NewRule
from apps.prompts import services as prompts
from apps.prompts.content import Content, content_from_dict
from apps.prompts.models import Prompt, Version
from apps.prompts.selectors.versions import latest_version
from tests import factories
from tests.evals import making

NAME = "support/answer"
GOOD = "{{question}}"
BAD = "I do not know: {{question}}"


# --- People


def make_person(project: Project, name: str, role: Role) -> User:
    """A member with this name and role; the one that there is already is returned."""
    email = f"{name}@example.com"
    found = Membership.objects.select_related("user").filter(project=project, user__email=email).first()
    if found is not None:
        return found.user
    user = User.objects.filter(email=email).first() or factories.make_user(email, name=name.title())
    factories.make_member(project, user, role=role)
    return user


def rita(project: Project) -> User:
    """A reviewer."""
    return make_person(project, "rita", Role.REVIEWER)


def rob(project: Project) -> User:
    """Another reviewer."""
    return make_person(project, "rob", Role.REVIEWER)


def ed(project: Project) -> User:
    """An editor, who asks unless somebody else does."""
    return make_person(project, "ed", Role.EDITOR)


def owner_of(project: Project) -> User:
    """The first admin, who is the author of versions unless somebody else is."""
    return project.memberships.filter(role="admin").order_by("pk")[0].user


# --- Prompts


def body(text: str = GOOD, **changes: Any) -> Content:
    """A chat content that says the text to the test model."""
    told: dict[str, Any] = {
        "kind": "chat",
        "messages": [{"role": "user", "content": text}],
        "variables": [{"name": "question"}],
        "model": "test/echo",
        **changes,
    }
    return content_from_dict(told)


def make_version(
    project: Project, text: str = GOOD, *, name: str = NAME, author: User | None = None, **changes: Any
) -> Version:
    """The next version of the prompt of this name, which is made when it is not there. `changes` are of the content."""
    author = author or owner_of(project)
    actor = factories.actor_of(author)
    prompt = Prompt.objects.filter(project=project, name=name).first()
    if prompt is None:
        prompt = prompts.create_prompt(project=project, name=name, actor=actor, now=factories.NOW)
    return prompts.publish(
        prompt=prompt,
        content=body(text, **changes),
        author=author,
        actor=actor,
        now=factories.NOW,
        allows_same=True,
        lowered_because="a test",
    )


def environment(project: Project, slug: str = "production") -> Environment:
    """The project's environment of this name."""
    return Environment.objects.get(project=project, slug=slug)


# --- Gates and rules


def examples(count: int) -> list[dict[str, Any]]:
    """So many examples whose expected output is their own question."""
    return [
        {"key": f"q{place:03}", "variables": {"question": f"Question {place}?"}, "expected": f"Question {place}?"}
        for place in range(count)
    ]


def make_gate(
    project: Project, slug: str = "ship", *, count: int = 4, eval_set: EvalSet | None = None, **conditions: Any
) -> Gate:
    """A gate that passes when at least half of a set's examples are right by the word.

    Without a set: over `<slug>-set`, made with so many approved examples, all of which it asks for. `conditions` are
    added to those of the gate.
    """
    if eval_set is None:
        eval_set = making.make_set(project, f"{slug}-set", examples=examples(count))
    if not Scorer.objects.filter(project=project, slug="exact").exists():
        making.make_scorer(project, config=KINDS["exact"].read({}))
    config = {
        "scorers": [{"slug": "exact"}],
        "by": "mean",
        "minimum_pass_rate": 0.5,
        "minimum_examples": count,
        **conditions,
    }
    return gates.create_gate(
        project=project,
        gate=NewGate(slug.title(), eval_set, config, slug=slug),
        actor=factories.actor_of(owner_of(project)),
        is_admin=True,
        now=factories.NOW,
    )


def make_rule(
    project: Project,
    prompt: Prompt | None = None,
    environment: str = "production",
    gates: Sequence[Gate] | None = None,
    **fields: Any,
) -> ReleaseRule:
    """The rule for the prompt, or (with none) for a `feature` or everything. Without gates: with `make_gate`'s."""
    chosen = [make_gate(project)] if gates is None else gates
    place = Environment.objects.get(project=project, slug=environment)
    rule = NewRule(environment=place, gates=chosen, prompt=prompt, **fields)
    return rules.set_rule(project=project, rule=rule, actor=factories.actor_of(owner_of(project)), now=factories.NOW)


# --- Evidence


def start_run(gate: Gate, version: Version, *, model: str = "") -> EvalRun:
    """The gate's run of the version: the one that there is, else a new one, which nobody has executed."""
    actor = factories.actor_of(owner_of(gate.project))
    candidate = Candidate(version.prompt.name, version, model)
    return gates.run_for(gate=gate, candidate=candidate, actor=actor, source=RunSource.API, now=clock.now())


def finish_run(run: EvalRun, *, errors: int = 0, latency_ms: int = 120, now: datetime | None = None) -> EvalRun:
    """Execute the run on the spot, without a worker or a thread: the answers are those of the test model `echo`.

    The first `errors` results fail as calls do. Scores are the real scorers', the end is the real one.
    """
    now = now or clock.now()
    texts = [str(one["content"]) for one in (run.content or {})["messages"]]
    scorers = list(RunScorer.objects.filter(run=run).select_related("version"))
    scores, results = [], list(Result.objects.filter(run=run).select_related("example").order_by("pk"))
    for place, result in enumerate(results):
        result.started_at = result.ended_at = now
        result.latency_ms = latency_ms
        if place < errors:
            result.state, result.error_code, result.error = "failed", "server_error", "The provider answered 500."
            continue
        result.output = texts[-1].replace("{{question}}", str(result.example.variables["question"]))
        case = Case(variables=result.example.variables, expected=result.example.expected, output=result.output)
        found = [(one, score_with(KINDS[one.kind], case, one.version.config)) for one in scorers]
        result.state = "done"
        result.value, result.is_passed = together([(score, one.threshold) for one, score in found])
        scores += [
            ResultScore(
                project_id=run.project_id,
                run=run,
                result=result,
                scorer=one,
                state=score.state.value,
                value=score.value,
                reason=score.reason,
            )
            for one, score in found
        ]
    changed = ("state", "started_at", "ended_at", "latency_ms", "error_code", "error", "output", "value", "is_passed")
    Result.objects.bulk_update(results, changed)
    ResultScore.objects.bulk_create(scores)
    token = uuid.uuid4()
    EvalRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, lease_token=token, lease_until=now + timedelta(minutes=1), started_at=now
    )
    ended = run_ending.end_run(run.pk, token, state=RunState.FINISHED, reason="", sentence="", now=now)
    assert ended is not None
    return ended


def finish_runs(project: Project, **options: Any) -> int:
    """Execute every run of the project that waits; how many those were."""
    waiting = list(EvalRun.objects.filter(project=project, state=RunState.QUEUED))
    for run in waiting:
        finish_run(run, **options)
    return len(waiting)


def report_of(gate: Gate, version: Version, *, model: str = "", **options: Any) -> GateReport:
    """What the gate says of the version, over a run that is executed on the spot unless it was."""
    run = start_run(gate, version, model=model)
    run.refresh_from_db()  # with real commits, the worker of the tests has executed it by now
    if not RunState(run.state).is_end:
        run = finish_run(run, **options)
    actor = factories.actor_of(owner_of(gate.project))
    return gates.check_gate(gate=gate, run=run, actor=actor, now=clock.now())


def passed_report(gate: Gate, version: Version, *, model: str = "") -> GateReport:
    """A frozen report of the version that says it passed."""
    report = report_of(gate, version, model=model)
    assert report.verdict == "passed", report.conditions
    return report


def failed_report(gate: Gate, version: Version, *, model: str = "") -> GateReport:
    """A frozen report of the version (whose text is `BAD`) that says it failed."""
    report = report_of(gate, version, model=model)
    assert report.verdict == "failed", report.conditions
    return report


# --- Promotions


def ask(version: Version, *, by: User | None = None, environment: str = "production", **options: Any) -> Promotion:
    """Ask for the version as `ed`, or as somebody else."""
    project = version.prompt.project
    person = by or ed(project)
    place = Environment.objects.get(project=project, slug=environment)
    told: dict[str, Any] = {"actor": factories.actor_of(person), "person": person, "now": clock.now(), **options}
    return asking.ask(prompt=version.prompt, version=version, environment=place, **told)


def waiting(project: Project, text: str = GOOD, *, by: User | None = None, **options: Any) -> Promotion:
    """A promotion of a new version that passed its gates and waits for a decision.

    A rule with one gate is set for production unless there is one for it.
    """
    version = make_version(project, text)
    found = ReleaseRule.objects.filter(project=project).first() or make_rule(project)
    for gate in found.gates.all():
        passed_report(gate, version, model=options.get("model", ""))
    promotion = ask(version, by=by, **options)
    assert promotion.state == "waiting", promotion.reasons
    return promotion


def latest(prompt: Prompt) -> Version:
    """The prompt's newest version."""
    found = latest_version(prompt)
    assert found is not None
    return found
