"""Reads of calibrations: what was found, what to read, and whether a judge may gate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.core.errors import Invalid, NotFound
from apps.evals import calibration_rows
from apps.evals.calibrating import Figures, Judged, consensus, figures_from_dict, license_of
from apps.evals.calibration_rows import Grading, LabeledCase, case_of
from apps.evals.models import Calibration, CalibrationItem, ScorerVersion
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.types import Json
from apps.projects.models import Project
from apps.telemetry.models import ReviewItem

PAGE_SIZE = 50
OPEN = ("queued", "running")
ENDED = "finished"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An item on which the judge and people differ, or that it gave no verdict on."""

    item: CalibrationItem
    people: str
    labels: tuple[str, ...]
    judge: str
    input: str
    output: str
    other_output: str


def get_calibration(project: Project, uuid: UUID) -> Calibration:
    """The project's calibration. Raises NotFound."""
    rows = Calibration.objects.select_related("project", "version", "version__scorer")
    found = rows.filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such calibration in this project.")
    return found


def list_calibrations(project: Project, *, scorer_id: int | None = None, limit: int = PAGE_SIZE) -> list[Calibration]:
    """The project's calibrations, or a scorer's, newest first."""
    rows = Calibration.objects.filter(project=project).select_related("version", "version__scorer")
    if scorer_id is not None:
        rows = rows.filter(version__scorer_id=scorer_id)
    return list(rows.order_by("-created_at", "-pk")[:limit])


def figures_of(calibration: Calibration) -> Figures | None:
    """Its figures; None until it ended."""
    return None if calibration.figures is None else figures_from_dict(calibration.figures)


def verdict_of(calibration: Calibration) -> str:
    """Why it licenses the judge or does not, in a sentence; why it ended without figures, or how far it is."""
    found = figures_of(calibration)
    if found is None:
        return calibration.error or "It has not ended yet."
    return license_of(found, calibration.floor_kappa)[1]


def is_licensed(version: ScorerVersion) -> tuple[bool, str]:
    """Whether this version of a scorer may decide a gate, and why in a sentence.

    Scorers that compute always may. A judge may when the newest ended calibration of this very version met its floor; a
    calibration of another version says nothing of it.
    """
    return licenses([version])[version.pk]


def licenses(versions: Iterable[ScorerVersion]) -> dict[int, tuple[bool, str]]:
    """`is_licensed` of several versions, by their keys. Their scorers are read with them."""
    wanted = list(versions)
    judges = [one for one in wanted if (kind := KINDS.get(one.scorer.kind)) is not None and kind.is_judge]
    ended = Calibration.objects.filter(version__in=judges, state=ENDED).order_by("version_id", "-ended_at", "-pk")
    newest: dict[int, Calibration] = {}
    for calibration in ended:
        newest.setdefault(calibration.version_id, calibration)
    found = {}
    for version in wanted:
        kind = KINDS.get(version.scorer.kind)
        found[version.pk] = _license(kind, newest.get(version.pk))
    return found


def _license(kind: ScorerKind | None, newest: Calibration | None) -> tuple[bool, str]:
    if kind is None:
        return False, "Its kind is not installed here."
    if not kind.is_judge:
        return True, "It computes, so it needs no calibration."
    if newest is None:
        return False, "This version was not calibrated against people yet; it informs, but does not gate."
    return newest.is_licensed, verdict_of(newest)


def grading_of(version: ScorerVersion) -> Grading:
    """The categories of this version of a judge. Raises Invalid when its kind is not installed."""
    kind = KINDS.get(version.scorer.kind)
    if kind is None:
        raise Invalid(scorer=[f"The kind {version.scorer.kind} is not installed here."])
    return calibration_rows.grading_of(kind, version.config, version.pass_mark)


def judged_items(calibration: Calibration, grading: Grading) -> list[Judged]:
    """All items in the categories of the judge. An item that nobody judged yet counts as one without a verdict."""
    rows = CalibrationItem.objects.filter(calibration=calibration).order_by("position").defer("case", "reason")
    return [_judged(row, grading) for row in rows.iterator(chunk_size=1000)]


def _judged(row: CalibrationItem, grading: Grading) -> Judged:
    numbers = [number for label in row.human_labels if (number := calibration_rows.number_of(label)) is not None]
    orders = row.details.get("orders")
    return Judged(
        people=tuple(grading.category(label) or "" for label in row.human_labels),
        judge=grading.verdict(row.judge_label, row.judge_value) if row.state == "judged" else None,
        orders=(orders[0], orders[1]) if grading.is_pairwise and orders else None,
        number=row.judge_value if grading.pass_mark is not None else None,
        human_number=sum(numbers) / len(numbers) if numbers and len(numbers) == len(row.human_labels) else None,
    )


def disagreements(
    calibration: Calibration, grading: Grading, *, people: str = "", judge: str = "", limit: int = PAGE_SIZE
) -> list[Disagreement]:
    """Items on which the judge and people differ, and those without a verdict, in their order; with `people` and
    `judge`, those of one cell of the table, also where both agree."""
    found: list[Disagreement] = []
    rows = CalibrationItem.objects.filter(calibration=calibration).exclude(state="waiting").order_by("position")
    for row in rows.iterator(chunk_size=200):
        told = _judged(row, grading)
        agreed = consensus(told.people, grading.categories, is_ordinal=grading.is_ordinal) or ""
        said = told.judge or ""
        is_wanted = (agreed, said) == (people, judge) if people or judge else agreed != said
        if is_wanted:
            case = case_of(row.case)
            words = _input_of(row.case)
            found.append(
                Disagreement(
                    row, agreed, told.people, said, words, case.output[:4000], (case.other_output or "")[:4000]
                )
            )
        if len(found) >= limit:
            break
    return found


def _input_of(case: dict[str, Json]) -> str:
    messages = case.get("messages") or []
    if messages:
        return str(messages[-1].get("content", ""))[:2000]
    variables = case.get("variables") or {}
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in variables.values())[:2000]


def reviewed_cases(project: Project, *, since: datetime, feature: str = "", limit: int = 2000) -> list[LabeledCase]:
    """Outputs that people of this project found good or bad in the review queue since then, newest first; one that
    several looked at once, with all their verdicts. What was never decided, and unsure ones, are left out."""
    rows = ReviewItem.objects.filter(
        project_id=project.pk, status="done", verdict__in=("good", "bad"), decided_at__gte=since, output__isnull=False
    )
    if feature:
        rows = rows.filter(feature=feature)
    grouped: dict[tuple[bytes, bytes], tuple[ReviewItem, list[str]]] = {}
    for row in rows.order_by("-decided_at")[:limit]:
        place = (bytes(row.trace_id), bytes(row.span_id))
        grouped.setdefault(place, (row, []))[1].append(row.verdict)
    return [LabeledCase(_reviewed(row), tuple(labels)) for row, labels in grouped.values()]


def _reviewed(row: ReviewItem) -> dict[str, Json]:
    told = _read(row.input, is_json=row.input_is_json)
    case: dict[str, Json] = {"output": _output_text(_read(row.output, is_json=row.output_is_json))}
    is_messages = isinstance(told, list) and bool(told) and all(isinstance(one, dict) and "role" in one for one in told)
    case["messages" if is_messages else "variables"] = told if is_messages else {"input": told}
    return case


def _read(text: str | None, *, is_json: bool) -> Json:
    if text is None or not is_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _output_text(told: Json) -> str:
    """The words of an output as telemetry keeps it: a text, a message or a list of them."""
    if isinstance(told, str):
        return told
    if isinstance(told, Sequence):
        return "\n".join(_output_text(one) for one in told)
    if isinstance(told, dict) and isinstance(told.get("content"), str):
        return str(told["content"])
    return "" if told is None else json.dumps(told, ensure_ascii=False)


def done_count(calibration: Calibration) -> int:
    """How many of its items the judge was asked about."""
    return CalibrationItem.objects.filter(calibration=calibration).exclude(state="waiting").count()


def due(*, now: datetime) -> list[int]:
    """Calibrations that wait for a worker, or whose worker was lost."""
    rows = Calibration.objects.filter(state__in=OPEN)
    return [row.pk for row in rows if row.lease_until is None or row.lease_until < now]
