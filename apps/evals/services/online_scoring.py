"""Sampling production calls as they arrive, and scoring them, each call by each scorer once.

One worker at a time holds an online eval. It looks through what arrived since the last time, by when it arrived, so
that late spans are seen; writes down which calls are sampled; then scores what waits, portion by portion. Whatever it
writes is conditioned on its lease. A score goes to telemetry under an id of its own, so writing it twice is one score.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Count, F, Q, Sum

from apps.core import clock, egress
from apps.evals.models import OnlineEval, OnlineItem, OnlineScorer, OnlineTally
from apps.evals.online import DROPPED, REASONS, is_chosen
from apps.evals.online_cases import case_of, why_unscorable
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.scoring.registry import KINDS, score_with
from apps.evals.services import asking
from apps.evals.types import Case, Score, ScoreState, not_scored, scorer_failed
from apps.telemetry.scoring import Said, ScoreRecord, record_of
from apps.telemetry.selectors import spans
from apps.telemetry.services import scores as telemetry_scores
from apps.telemetry.types import Batch

log = logging.getLogger(__name__)

SOURCE = "online_eval"
LAG = timedelta(seconds=20)
"""A span may be committed a little after it was received; what is younger is looked at the next time."""

OLDEST = timedelta(days=3)
"""How long after its start a span may arrive and still be seen."""

LEASE = timedelta(minutes=5)
MOST_IN_A_JOB = timedelta(minutes=4)
ITEM_SECONDS = 90
PORTION = 16
PAGE = 5_000
MOST_TRIES = 3

# By when they arrived; `started_at` keeps the partitions few.
ARRIVED = """
SELECT trace_id, span_id, started_at, received_at FROM telemetry_span
WHERE project_id = %(project)s AND started_at >= %(oldest)s AND received_at > %(after)s AND received_at <= %(until)s
  AND kind = 'llm' AND counted AND source NOT IN ('eval', 'judge', 'playground', 'sample')
  AND (%(environment)s = '' OR environment = %(environment)s) AND (%(feature)s = '' OR feature = %(feature)s)
  AND (%(model)s = '' OR model = %(model)s) AND (%(prompt_name)s = '' OR prompt_name = %(prompt_name)s)
ORDER BY received_at, started_at, trace_id, span_id LIMIT %(limit)s
"""


def work() -> int:
    """Look through every online eval that is on and that nobody else holds; how many scores were made or refused.

    It reads the clock itself, because it may take minutes.
    """
    began, done = clock.now(), 0
    for pk in OnlineEval.objects.filter(is_on=True).order_by("pk").values_list("pk", flat=True):
        token = uuid.uuid4()
        online = _lease(pk, token, now=clock.now())
        if online is None:
            continue
        try:
            done += _work_on(online, token, until=began + MOST_IN_A_JOB)
        except Exception:
            # The others are not to wait for what is wrong with this one; the next job tries it again.
            log.exception("an online eval could not be worked on", extra={"online_eval": str(online.uuid)})
        finally:
            OnlineEval.objects.filter(pk=pk, lease_token=token).update(lease_token=None, lease_until=None)
    return done


def _lease(pk: int, token: uuid.UUID, *, now: datetime) -> OnlineEval | None:
    is_free = Q(lease_until=None) | Q(lease_until__lt=now)
    taken = OnlineEval.objects.filter(is_free, pk=pk, is_on=True).update(lease_token=token, lease_until=now + LEASE)
    return OnlineEval.objects.select_related("project").get(pk=pk) if taken == 1 else None


def _work_on(online: OnlineEval, token: uuid.UUID, *, until: datetime) -> int:
    while sample(online, token, now=clock.now()) and clock.now() < until:
        pass
    done = 0
    while clock.now() < until:
        count = score_portion(online, token, now=clock.now())
        if count == 0:
            break
        done += count
    return done


# --- Sampling -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    trace_id: bytes
    span_id: bytes
    started_at: datetime
    received_at: datetime


@transaction.atomic
def sample(online: OnlineEval, token: uuid.UUID, *, now: datetime) -> bool:
    """Look through a page of what arrived; True when there is more to look through at once."""
    held = OnlineEval.objects.select_for_update(no_key=True).filter(pk=online.pk, lease_token=token, is_on=True).first()
    if held is None:
        return False
    after, until = held.seen_until or held.created_at, now - LAG
    if after >= until:
        return False
    calls = _arrived(held, after, until)
    is_full = len(calls) == PAGE
    if is_full:
        # All that arrived at the last moment are looked at together, so that the next page begins after it.
        last = calls[-1].received_at
        whole = [call for call in calls if call.received_at < last]
        calls = whole or calls
        until = calls[-1].received_at
    for day in sorted({call.received_at.date() for call in calls}):
        _sample_day(held, day, [call for call in calls if call.received_at.date() == day], now)
    OnlineEval.objects.filter(pk=held.pk).update(seen_until=until)
    return is_full


def _arrived(online: OnlineEval, after: datetime, until: datetime) -> list[_Call]:
    filters: dict[str, object] = {
        name: online.filters.get(name, "") for name in ("environment", "feature", "model", "prompt_name")
    }
    window: dict[str, object] = {"oldest": after - OLDEST, "after": after, "until": until, "limit": PAGE}
    with connection.cursor() as cursor:
        cursor.execute(ARRIVED, {"project": online.project_id, **filters, **window})  # type: ignore[dict-item]
        return [
            _Call(bytes(trace), bytes(span), started, received) for trace, span, started, received in cursor.fetchall()
        ]


def _sample_day(online: OnlineEval, day: date, calls: Sequence[_Call], now: datetime) -> None:
    """Write down the calls that are chosen, as many as the day has room for, and count them all."""
    tally, _ = OnlineTally.objects.select_for_update().get_or_create(
        online_eval=online, day=day, defaults={"project_id": online.project_id}
    )
    chosen = [call for call in calls if is_chosen(call.trace_id, key=online.uuid.bytes, percent=online.percent)]
    room = max(online.most_a_day - (tally.sampled - tally.left_out), 0)
    taken = chosen[:room]
    scorers = OnlineScorer.objects.filter(online_eval=online, position__lt=DROPPED)
    OnlineItem.objects.bulk_create(
        (
            OnlineItem(
                project_id=online.project_id,
                online_eval=online,
                scorer=scorer,
                trace_id=call.trace_id.hex(),
                span_id=call.span_id.hex(),
                call_at=call.started_at,
                day=day,
                made_at=now,
            )
            for call in taken
            for scorer in scorers
        ),
        ignore_conflicts=True,
        batch_size=1000,
    )
    OnlineTally.objects.filter(pk=tally.pk).update(
        matched=F("matched") + len(calls),
        sampled=F("sampled") + len(chosen),
        left_out=F("left_out") + len(chosen) - len(taken),
    )


# --- Scoring ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """An item with its call as a case, or with why there is nothing to score."""

    item: OnlineItem
    kind: ScorerKind | None
    case: Case | None
    score: Score | None
    reason: str = ""

    @property
    def asks(self) -> bool:
        """True when a model or a service is to be asked."""
        return self.score is None and self.kind is not None and self.kind.ask is not None


@dataclass(frozen=True, slots=True)
class _Judged:
    item: OnlineItem
    score: Score
    reason: str
    cost_usd: Decimal | None


def score_portion(online: OnlineEval, token: uuid.UUID, *, now: datetime) -> int:
    """Score some of what waits; how many. 0 when nothing waits, or when the lease is another's."""
    items = _take(online, token, now)
    if not items:
        return 0
    jobs = _jobs(online, items)
    refusal = _refusal(online, now) if any(job.asks for job in jobs) else None
    judged = [_at_once(job, refusal) for job in jobs if not job.asks or refusal is not None]
    asked = [job for job in jobs if job.asks and refusal is None]
    if asked:
        judged += _ask(online, asked, now=now)
    _keep(online, token, judged, now=clock.now())
    return len(judged)


@transaction.atomic
def _take(online: OnlineEval, token: uuid.UUID, now: datetime) -> list[OnlineItem]:
    """The next items that wait, each counted as tried before anything is asked for it."""
    held = OnlineEval.objects.filter(pk=online.pk, lease_token=token, is_on=True)
    if held.update(lease_until=now + LEASE) != 1:
        return []
    rows = OnlineItem.objects.filter(online_eval=online, state="waiting").select_related("scorer__version__scorer")
    items = list(rows.order_by("pk")[:PORTION])
    OnlineItem.objects.filter(pk__in=[item.pk for item in items]).update(tries=F("tries") + 1)
    return items


def _jobs(online: OnlineEval, items: Sequence[OnlineItem]) -> list[_Job]:
    places = list(
        dict.fromkeys((item.call_at, bytes.fromhex(item.trace_id), bytes.fromhex(item.span_id)) for item in items)
    )
    found = {(span.trace_id, span.span_id): span for span in spans.read_spans(online.project_id, places)}
    return [_job(item, found.get((item.trace_id, item.span_id))) for item in items]


def _job(item: OnlineItem, span: spans.SpanView | None) -> _Job:
    kind = KINDS.get(item.scorer.version.scorer.kind)
    reason = why_unscorable(span)
    if reason or span is None:
        words = REASONS[reason]
        return _Job(item, kind, None, not_scored(f"{words[0].upper()}{words[1:]}."), reason)
    if item.tries >= MOST_TRIES:
        return _Job(item, kind, None, scorer_failed("Its worker was lost each time it was tried."), "interrupted")
    if kind is None:
        text = f"The kind of scorer {item.scorer.version.scorer.kind} is not installed here."
        return _Job(item, kind, None, scorer_failed(text), "scorer_error")
    case = case_of(span)
    lacking = _lacking(kind, case)
    if lacking is not None:
        return _Job(item, kind, case, lacking, "not_applicable")
    if kind.ask is None:
        return _Job(item, kind, case, score_with(kind, case, item.scorer.version.config))
    return _Job(item, kind, case, None)


def _lacking(kind: ScorerKind, case: Case) -> Score | None:
    if "context" in kind.needs and not case.context:
        return not_scored("The call has no documents.")
    if {"expected", "other_output", "steps"} & kind.needs:
        return not_scored("A production call has nothing to compare with.")
    return None


def _refusal(online: OnlineEval, now: datetime) -> tuple[str, str] | None:
    """Why no judge may be asked any more today: the reason and a sentence. None when one may."""
    if online.budget_usd_a_day is None:
        return None
    today = OnlineItem.objects.filter(online_eval=online, ended_at__gte=clock.floor_day(now)).exclude(tries=0)
    spent = today.aggregate(usd=Sum("cost_usd"), unpriced=Count("pk", filter=Q(cost_usd=None, state="done")))
    if spent["unpriced"]:
        return "no_price", "The cost of the judge is not known, so the day's budget cannot be kept. Enter its price."
    if (spent["usd"] or Decimal(0)) >= online.budget_usd_a_day:
        return "over_budget", f"The day's budget of ${online.budget_usd_a_day.normalize():f} is spent."
    return None


def _at_once(job: _Job, refusal: tuple[str, str] | None) -> _Judged:
    if job.score is not None:
        return _Judged(job.item, job.score, job.reason, Decimal(0))
    assert refusal is not None
    return _Judged(job.item, not_scored(refusal[1]), refusal[0], Decimal(0))


def _ask(online: OnlineEval, jobs: Sequence[_Job], *, now: datetime) -> list[_Judged]:
    """Ask the judges about these calls, all at the same time; no transaction is open."""
    versions = list({job.item.scorer.version_id: job.item.scorer.version for job in jobs}.values())
    told = {"online_eval": str(online.uuid)}
    desk = asking.desk_for(online.project, versions, now=now, attributes=told)
    askers = [desk.asker() for _ in jobs]
    scores = egress.run_in_loop(_all(jobs, askers))
    try:
        asking.tell(online.project, askers, now=clock.now())
    except Exception:
        # The scores are worth keeping; only the judges' spans are missing.
        log.exception("the calls of an online eval could not be stored as telemetry")
    return [
        _Judged(job.item, score, "", None if asker.spent.unpriced else asker.spent.usd)
        for job, score, asker in zip(jobs, scores, askers, strict=True)
    ]


async def _all(jobs: Sequence[_Job], askers: Sequence[asking.ModelAsker]) -> list[Score]:
    return list(await asyncio.gather(*(_one(job, asker) for job, asker in zip(jobs, askers, strict=True))))


async def _one(job: _Job, asker: asking.ModelAsker) -> Score:
    assert job.kind is not None
    assert job.kind.ask is not None
    assert job.case is not None
    try:
        async with asyncio.timeout(ITEM_SECONDS):
            score = await job.kind.ask(job.case, job.item.scorer.version.config, asker)
    except TimeoutError:
        return scorer_failed(f"The judge took longer than {ITEM_SECONDS} s.")
    except Exception as error:
        log.exception("a judge raised in an online eval")
        return scorer_failed(f"The judge failed: {type(error).__name__}.")
    if score.state is ScoreState.SCORED and (score.value is None or not 0.0 <= score.value <= 1.0):
        return scorer_failed(f"The judge said {score.value}; a score lies between 0 and 1.")
    return score


# --- Keeping ------------------------------------------------------------------------------------------------

STATES = {ScoreState.SCORED: "done", ScoreState.NOT_SCORED: "not_scored", ScoreState.ERROR: "failed"}
USUAL = {ScoreState.SCORED: "", ScoreState.NOT_SCORED: "not_applicable", ScoreState.ERROR: "scorer_error"}


def _keep(online: OnlineEval, token: uuid.UUID, judged: Sequence[_Judged], *, now: datetime) -> None:
    """Write scores into telemetry first, under ids of their own, then what became of the items."""
    records = [_record(online, one, now) for one in judged if one.score.state is ScoreState.SCORED]
    if not OnlineEval.objects.filter(pk=online.pk, lease_token=token).exists():
        return
    if records:
        batch = Batch(
            project_id=online.project_id,
            key_id=None,
            client="online evals",
            received_at=now,
            received=len(records),
            spans=[],
            positions=[],
            rejected=[],
            scores=records,
        )
        telemetry_scores.store(batch, now=now)
    with transaction.atomic():
        for one in judged:
            OnlineItem.objects.filter(pk=one.item.pk, state="waiting").update(
                state=STATES[one.score.state],
                value=one.score.value,
                reason=one.reason or USUAL[one.score.state],
                sentence=one.score.reason[:2000],
                cost_usd=one.cost_usd,
                ended_at=now,
            )


def _record(online: OnlineEval, one: _Judged, now: datetime) -> ScoreRecord:
    item, scorer = one.item, one.item.scorer.version
    said = Said(
        name=scorer.scorer.slug,
        value=one.score.value,
        comment=one.score.reason[:2000],
        trace_id=bytes.fromhex(item.trace_id),
        span_id=bytes.fromhex(item.span_id),
        score_id=f"online {online.uuid} {scorer.scorer.slug} {scorer.number} {item.trace_id} {item.span_id}",
        at=now,
    )
    return record_of(said, project_id=online.project_id, received_at=now, source=SOURCE)
