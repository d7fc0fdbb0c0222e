"""Starting runs, ending them early, trying what failed once more, and bringing outputs along."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import F, Max

from apps.accounts.models import User
from apps.core import jobs
from apps.core.errors import Conflict, Invalid
from apps.evals.brought import Output
from apps.evals.estimating import Estimate
from apps.evals.models import EvalRun, Result, ResultScore, RunScorer
from apps.evals.selectors.run_freezing import SELECTED, Frozen, freeze
from apps.evals.types import ResultState, RunKind, RunSource, RunSpec, RunState
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.prompts.content import content_as_dict

WAKE_UP = "evals.work"
MOST_OPEN = 100
"""Runs of one project that may wait or run at once."""
PORTION = 500

INSERT_RESULTS = """
INSERT INTO evals_result (project_id, run_id, example_id, repetition, state, tries, interrupted, output, tool_calls,
  steps, finish_reason, response_model, is_from_cache, error_code, error, trace_id, span_id, is_traced)
SELECT %(project)s, %(run)s, chosen.id, turn, 'waiting', 0, 0, '', '[]', '[]', '', '', false, '', '', '', '', false
FROM (SELECT id, key {selected}) AS chosen, generate_series(0, %(repetitions)s - 1) AS turn
ORDER BY turn, chosen.key
"""
BRING = """
UPDATE evals_result AS held SET state = 'answered', output = told.text, tool_calls = told.tool_calls,
  steps = told.steps, finish_reason = told.finish_reason, response_model = told.model, ttft_ms = told.ttft_ms,
  latency_ms = told.latency_ms, input_tokens = told.input_tokens, output_tokens = told.output_tokens,
  cost_usd = told.cost_usd, started_at = %(now)s
FROM jsonb_to_recordset(%(outputs)s::jsonb) AS told (key text, repetition int, text text, tool_calls jsonb, steps jsonb,
  finish_reason text, model text, ttft_ms int, latency_ms int, input_tokens bigint, output_tokens bigint,
  cost_usd numeric), evals_example AS example
WHERE held.run_id = %(run)s AND held.state IN ('waiting', 'answered') AND example.id = held.example_id
  AND example.eval_set_id = %(eval_set)s AND example.key = told.key AND held.repetition = told.repetition
RETURNING told.key, told.repetition
"""
EMPTIED: dict[str, Any] = {
    "output": "",
    "tool_calls": [],
    "steps": [],
    "finish_reason": "",
    "response_model": "",
    "ttft_ms": None,
    "latency_ms": None,
    "input_tokens": None,
    "output_tokens": None,
    "cached_input_tokens": None,
    "cache_write_tokens": None,
    "reasoning_tokens": None,
    "cost_usd": None,
    "is_from_cache": False,
    "error_code": "",
    "error": "",
    "trace_id": "",
    "span_id": "",
    "is_traced": False,
    "tries": 0,
    "interrupted": 0,
    "started_at": None,
    "ended_at": None,
    "value": None,
    "is_passed": None,
}


class TooManyRuns(Conflict):
    """The project has as many runs under way as it may have."""

    code, http_status = "too_many_runs", 429
    message = "{open} runs are waiting or running, and {most} are the most at once. Wait for one, or cancel some."
    retry_after_seconds = 30


class RunEnded(Conflict):
    """The run is over."""

    code, message = "run_ended", "This run has ended already."


class NothingFailed(Conflict):
    """There is nothing to try again."""

    code, message = "nothing_failed", "No example of this run failed, so there is nothing to try again."


class RunStillOpen(Conflict):
    """The run has not ended yet."""

    code, message = "run_open", "The run is not over yet. Wait for its end, or cancel it."


class NoOutputsWanted(Conflict):
    """The run takes no outputs, or no more of them."""

    code, message = "no_outputs_wanted", "This run takes no outputs: it asks a model, or all of them are there."


def start_run(
    *,
    project: Project,
    spec: RunSpec,
    actor: Actor,
    source: RunSource,
    now: datetime,
    author: User | None = None,
    estimate: Estimate | None = None,
) -> EvalRun:
    """A run that is queued, with everything frozen that decides what it measures; a worker takes it within seconds.

    A run of outputs waits until `add_outputs` has brought the last of them. `author` is whose draft is meant. Raises
    Invalid, NotFound, NothingSelected, NoPrice, NoConnection, BadContent or TooManyRuns.
    """
    frozen = freeze(project, spec, author=author, now=now)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        _require_room(project)
        run = _insert(project, frozen, actor, source, now)
        if estimate is not None:
            run.estimate = estimate.as_dict()
            run.save(update_fields=["estimate"])
        RunScorer.objects.bulk_create(
            RunScorer(
                project=project,
                run=run,
                version=version,
                position=place,
                slug=version.scorer.slug,
                kind=version.scorer.kind,
                threshold=threshold,
            )
            for place, (version, threshold) in enumerate(frozen.scorers)
        )
        with connection.cursor() as cursor:
            told = {**frozen.selection, "project": project.pk, "run": run.pk, "repetitions": spec.repetitions}
            cursor.execute(INSERT_RESULTS.format(selected=SELECTED), told)
            run.total = cursor.rowcount
        run.save(update_fields=["total"])
        audit.record(actor=actor, action="evals.run_started", project=project, target=run, at=now, details=_told(run))
        if not run.awaits_outputs:
            jobs.enqueue(WAKE_UP)
    return run


def _insert(project: Project, frozen: Frozen, actor: Actor, source: RunSource, now: datetime) -> EvalRun:
    spec = frozen.spec
    newest = EvalRun.objects.filter(project=project).aggregate(number=Max("number"))["number"]
    return EvalRun.objects.create(
        project=project,
        number=(newest or 0) + 1,
        name=spec.name[:200],
        kind=spec.kind,
        version=frozen.version,
        prompt_name=frozen.prompt_name[:200],
        prompt_version=frozen.prompt_version[:64],
        content=None if frozen.content is None else content_as_dict(frozen.content),
        content_hash=frozen.content_hash,
        model=frozen.model[:300],
        provider=frozen.provider,
        parameters=frozen.parameters,
        eval_set=frozen.eval_set,
        revision=frozen.revision.number,
        revision_hash=frozen.revision.content_hash,
        slices=list(spec.slices),
        with_drafts=spec.with_drafts,
        repetitions=spec.repetitions,
        gate=frozen.gate,
        concurrency=spec.concurrency,
        budget_usd=spec.budget_usd,
        use_cache=spec.use_cache,
        feature=(spec.feature or frozen.eval_set.feature)[:128],
        environment=spec.environment[:64],
        source=source,
        actor_kind=actor.kind,
        actor_name=actor.name[:254],
        awaits_outputs=spec.kind is RunKind.OUTPUTS,
        created_at=now,
    )


def _told(run: EvalRun) -> dict[str, str | int | bool | None | list[str] | list[int]]:
    """What the audit trail keeps of the start."""
    return {
        "eval_set": run.eval_set.slug,
        "revision": run.revision,
        "prompt": run.prompt_name,
        "version": run.prompt_version,
        "model": run.model,
        "results": run.total,
        "budget_usd": None if run.budget_usd is None else format(run.budget_usd, "f"),
    }


def _require_room(project: Project) -> None:
    open_now = EvalRun.objects.filter(project=project, state__in=[RunState.QUEUED, RunState.RUNNING]).count()
    if open_now >= MOST_OPEN:
        raise TooManyRuns(open=open_now, most=MOST_OPEN)


def cancel_run(*, run: EvalRun, actor: Actor, now: datetime) -> EvalRun:
    """Ask for the end of the run: no call begins more than five seconds later. Raises RunEnded."""
    with transaction.atomic():
        asked = EvalRun.objects.filter(
            pk=run.pk, state__in=[RunState.QUEUED, RunState.RUNNING], cancel_asked_at=None
        ).update(cancel_asked_at=now)
        run.refresh_from_db()
        if asked == 0:
            if RunState(run.state).is_end:
                raise RunEnded
            return run
        audit.record(actor=actor, action="evals.run_canceled", project=run.project, target=run, at=now)
        jobs.enqueue(WAKE_UP)
    return run


def retry_failed(*, run: EvalRun, actor: Actor, now: datetime) -> EvalRun:
    """Queue the examples without an output, and the scores that failed, once more; whatever is finished stays as it is.

    Raises RunStillOpen or NothingFailed. A report that a gate made of the run before is not changed.
    """
    with transaction.atomic():
        locked = EvalRun.objects.select_for_update().get(pk=run.pk)
        if not RunState(locked.state).is_end:
            raise RunStillOpen
        results = Result.objects.filter(run=locked)
        failed = results.filter(state=ResultState.FAILED)
        if locked.kind == RunKind.OUTPUTS:
            # Nobody can be asked for an output that was not brought.
            failed = failed.none()
        again = failed.update(state=ResultState.WAITING, **EMPTIED)
        with_errors = results.filter(state=ResultState.DONE, scores__state="error").values_list("pk", flat=True)
        unscored = list(with_errors.distinct())
        ResultScore.objects.filter(result_id__in=unscored, state="error").delete()
        rescored = results.filter(pk__in=unscored, state=ResultState.DONE).update(
            state=ResultState.ANSWERED, ended_at=None, value=None, is_passed=None
        )
        if again + rescored == 0:
            raise NothingFailed
        EvalRun.objects.filter(pk=locked.pk).update(
            state=RunState.QUEUED,
            reason="",
            sentence="",
            cancel_asked_at=None,
            lease_token=None,
            lease_until=None,
            ended_at=None,
            summary=None,
            failed=F("failed") - again,
            done=F("done") - rescored,
        )
        details = {"examples": again, "scores": rescored}
        audit.record(
            actor=actor, action="evals.run_retried", project=locked.project, target=locked, at=now, details=details
        )
        jobs.enqueue(WAKE_UP)
    run.refresh_from_db()
    return run


def add_outputs(*, run: EvalRun, outputs: Iterable[Output], now: datetime, is_last: bool = True) -> int:
    """Take outputs for a run of them; how many there were. One for a key that was brought before takes its place.

    With the last of them the run is queued, and what has no output fails with the code `no_output`. Raises
    NoOutputsWanted, and Invalid for keys that the run does not have (then nothing of these outputs is taken).
    """
    brought = {(output.key, output.repetition): output for output in outputs}
    with transaction.atomic():
        locked = EvalRun.objects.select_for_update().get(pk=run.pk)
        if not locked.awaits_outputs or locked.state != RunState.QUEUED:
            raise NoOutputsWanted
        pairs = list(brought.items())
        unknown: list[str] = []
        for first in range(0, len(pairs), PORTION):
            unknown += _bring(locked, dict(pairs[first : first + PORTION]), now)
        if unknown:
            raise Invalid(
                f"{len(unknown)} outputs are for examples that the run does not have, such as {unknown[0]}. Nothing "
                "was taken.",
                outputs=unknown[:100],
            )
        if is_last:
            _close_outputs(locked, now)
    run.refresh_from_db()
    return len(brought)


def _bring(run: EvalRun, brought: dict[tuple[str, int], Output], now: datetime) -> list[str]:
    """Store these; the names of those that fit no result."""
    told = [
        {**msgspec.to_builtins(_plain(output)), "cost_usd": None if output.cost_usd is None else str(output.cost_usd)}
        for output in brought.values()
    ]
    with connection.cursor() as cursor:
        text = msgspec.json.encode(told).decode().replace("\\u0000", "\\ufffd")
        cursor.execute(BRING, {"run": run.pk, "eval_set": run.eval_set_id, "outputs": text, "now": now})
        taken = {(key, repetition) for key, repetition in cursor.fetchall()}
    return [key if not turn else f"{key} (repetition {turn})" for key, turn in brought if (key, turn) not in taken]


def _plain(output: Output) -> dict[str, object]:
    names = ("key", "text", "finish_reason", "model", "latency_ms", "ttft_ms", "input_tokens", "output_tokens")
    lists = {"tool_calls": list(output.tool_calls), "steps": list(output.steps), "repetition": output.repetition}
    return {**{name: getattr(output, name) for name in names}, **lists}


def _close_outputs(run: EvalRun, now: datetime) -> None:
    """All outputs are there: what has none fails, and a worker may begin."""
    missing = Result.objects.filter(run=run, state=ResultState.WAITING).update(
        state=ResultState.FAILED,
        error_code="no_output",
        error="No output was brought for this example.",
        ended_at=now,
    )
    EvalRun.objects.filter(pk=run.pk).update(awaits_outputs=False, failed=missing)
    jobs.enqueue(WAKE_UP)


ABANDONED_AFTER = timedelta(days=1)


def abandon_waiting(*, now: datetime) -> int:
    """Ask for the end of runs whose outputs were never brought to an end within a day; how many those were."""
    old = EvalRun.objects.filter(state=RunState.QUEUED, awaits_outputs=True, created_at__lt=now - ABANDONED_AFTER)
    return old.filter(cancel_asked_at=None).update(cancel_asked_at=now)
