"""Judges beside people: figures against published ones, a recorded judge replayed end to end, crashes, the license."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.core import clock
from apps.evals import calibrating
from apps.evals.calibrating import Judged, figures, figures_from_dict, kappa, license_of
from apps.evals.calibration_rows import BadLabels, LabeledCase, grading_of, read_upload
from apps.evals.models import Calibration, CalibrationItem, ScorerVersion
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import calibrations as selectors
from apps.evals.selectors import scorers as scorer_selectors
from apps.evals.services import calibrations, scorers
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import services as providers
from apps.telemetry.models import Span
from apps.telemetry.services.partitions import forget_known
from tests.evals.judge_scripts import parts_of, verdict
from tests.fakes.provider import KEY, FakeProvider
from tests.fakes.wording import Answer

ACTOR = Actor(kind="system", id=None, name="tests")
LLMBAR = Path(__file__).parent / "data" / "llmbar_gpt4_vanilla.jsonl.gz"
WINNERS = {"1": "output", "2": "other"}


@pytest.fixture(autouse=True)
def _no_partitions_remembered() -> None:
    """Those that an earlier test made are gone with it."""
    forget_known()


def recorded() -> list[dict[str, Any]]:
    """Pairs with people's label and what GPT-4 said in both orders (data/README.md)."""
    return [json.loads(line) for line in gzip.open(LLMBAR, "rt", encoding="utf-8")]


def connect(project: Project, provider: FakeProvider) -> None:
    """A connection `fake` to the fake provider."""
    fields = providers.ConnectionFields(
        name="Fake", protocol="openai", provider="openai", base_url=provider.url, models=("judge",), attempts=1
    )
    providers.add_connection(project=project, slug="fake", values=fields, secret=KEY, actor=ACTOR, now=clock.now())


def a_judge(project: Project, kind: str = "judge", **config: Any) -> ScorerVersion:
    """The newest version of a judge that asks `fake/judge`."""
    told = {"rubric": "Which follows the instruction?", "model": "fake/judge", **config}
    scorer = scorers.create_scorer(project=project, name=kind, kind=kind, config=told, actor=ACTOR, now=clock.now())
    return scorer_selectors.get_version(scorer)


def start(project: Project, version: ScorerVersion, items: list[LabeledCase], floor: float = 0.6) -> Calibration:
    """A queued calibration."""
    return calibrations.start_calibration(
        project=project, version=version, items=items, labels_from="upload", actor=ACTOR, now=clock.now(), floor=floor
    )


def replay(rows: list[dict[str, Any]]) -> Any:
    """What the fake provider answers with: the recorded verdict for this pair in this order."""
    by_outputs = {(row["output_1"], row["output_2"]): row for row in rows}

    def answer(body: Mapping[str, Any]) -> Answer:
        parts = parts_of(body["messages"])
        one, two = parts["OUTPUT A"], parts["OUTPUT B"]
        row = by_outputs.get((one, two))
        said = {"1": "A", "2": "B"}[row["first"]] if row else {"1": "B", "2": "A"}[by_outputs[two, one]["second"]]
        return Answer(pieces=(verdict(body["messages"], said),))

    return answer


def test_replays_a_recorded_judge_and_freezes_its_figures(project: Project, provider: FakeProvider) -> None:
    """GPT-4 on fifty pairs of LLMBar: the same winners as recorded, and the figures that they give."""
    rows = recorded()
    connect(project, provider)
    provider.answers = replay(rows)
    version = a_judge(project, "judge_pairwise")
    assert not selectors.is_licensed(version)[0]
    content = "\n".join(
        json.dumps({name: row[name] for name in ("input", "output_1", "output_2", "label")}) for row in rows
    )
    items = read_upload(content.encode(), "pairs.jsonl", selectors.grading_of(version))
    started = start(project, version, items)
    calibrations.calibrate(started.pk)
    done = Calibration.objects.get(pk=started.pk)
    assert (done.state, done.items_total, done.lease_token) == ("finished", 50, None)
    orders = [row.details["orders"] for row in CalibrationItem.objects.filter(calibration=done).order_by("position")]
    assert orders == [[WINNERS[row["first"]], WINNERS[row["second"]]] for row in rows]
    found = selectors.figures_of(done)
    assert found is not None
    assert found.position is not None
    # Counted from the recorded calls by themselves.
    assert found.position.accuracy == pytest.approx(0.87)
    assert found.position.same == pytest.approx(0.98)
    assert found.position.first_order_kappa == pytest.approx(0.71820, abs=5e-6)
    assert provider.count == 100
    assert Span.objects.filter(project_id=project.pk, source="judge", kind="llm").count() == 100
    assert selectors.is_licensed(version) == (done.is_licensed, selectors.verdict_of(done))
    assert not done.is_licensed  # kappa is 0.72, but on 50 pairs it may be 0.54
    assert "Below the floor" in selectors.verdict_of(done)
    # Another version begins without a license, whatever this one had.
    Calibration.objects.filter(pk=done.pk).update(is_licensed=True)
    assert selectors.is_licensed(version)[0]
    newer = scorers.add_scorer_version(
        scorer=version.scorer, config={**version.config, "rubric": "Other"}, actor=ACTOR, now=clock.now()
    )
    assert not selectors.is_licensed(newer)[0]


def simple_items(count: int) -> list[LabeledCase]:
    """Outputs `yes0`, `no1`, ... that people label as they begin."""
    words = ["yes" if number % 2 else "no" for number in range(count)]
    return [LabeledCase({"variables": {"q": "?"}, "output": f"{word}{n}"}, (word,)) for n, word in enumerate(words)]


def honest(body: Mapping[str, Any]) -> Answer:
    """A judge that agrees with the people of `simple_items`."""
    said = "yes" if parts_of(body["messages"])["OUTPUT"].startswith("yes") else "no"
    return Answer(pieces=(verdict(body["messages"], said),))


def test_judges_no_item_twice_after_a_crash_and_shuts_out_who_lost_the_lease(
    project: Project, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(project, provider)
    provider.answers = honest
    version = a_judge(project)
    started = start(project, version, simple_items(60))
    keep, calls = calibrations._keep, []

    def dies(*args: Any, **kwargs: Any) -> bool:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return keep(*args, **kwargs)

    monkeypatch.setattr(calibrations, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        calibrations.calibrate(started.pk)
    monkeypatch.undo()
    asked = provider.count
    calibrations.calibrate(started.pk)  # the lease still holds
    assert provider.count == asked
    assert selectors.due(now=clock.now()) == []
    later = clock.now() + calibrations.LEASE + timedelta(seconds=1)
    assert selectors.due(now=later) == [started.pk]
    stale = Calibration.objects.get(pk=started.pk)
    stale_token = stale.lease_token
    Calibration.objects.filter(pk=started.pk).update(lease_until=clock.now() - timedelta(seconds=1))
    calibrations.calibrate(started.pk)
    done = Calibration.objects.get(pk=started.pk)
    assert (done.state, done.is_licensed) == ("finished", True)
    # Sixty verdicts, and the portion that was under way when the worker died.
    assert provider.count == 60 + calibrations.PORTION
    assert stale_token is not None
    assert not calibrations._keep(stale, stale_token, [], now=clock.now())
    calibrations.calibrate(started.pk)
    assert provider.count == 60 + calibrations.PORTION
    assert done.spent_usd == Decimal(0)
    assert CalibrationItem.objects.filter(calibration=done, cost_usd=None).count() == 60  # no price is known


def test_gives_up_on_a_judge_that_speaks_nonsense_and_tries_again(project: Project, provider: FakeProvider) -> None:
    connect(project, provider)
    version = a_judge(project)
    started = start(project, version, simple_items(60))
    calibrations.calibrate(started.pk)
    failed = Calibration.objects.get(pk=started.pk)
    assert (failed.state, failed.figures) == ("failed", None)
    assert "is no verdict" in failed.error
    assert provider.count == 2 * calibrations.PORTION
    provider.answers = honest
    calibrations.retry_failed(calibration=failed, actor=ACTOR, now=clock.now())
    calibrations.calibrate(started.pk)
    assert selectors.is_licensed(version)[0]


# --- Figures


def beside(people: list[str], judge: list[str | None]) -> list[Judged]:
    """Items of one person."""
    return [Judged((one,), other) for one, other in zip(people, judge, strict=True)]


def test_gives_the_kappas_of_the_books() -> None:
    """Values and standard errors as statsmodels 0.14 computes them (`cohens_kappa`), and an identity of weighted kappa:
    for equal margins it is the correlation (Cohen 1968)."""
    table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    for is_weighted, value, error in ((False, 0.49152542372881347, 0.0510018156), (True, 0.4545454545, 0.0664536816)):
        found = kappa(table, is_weighted=is_weighted)
        assert found is not None
        assert found.high is not None
        assert found.value == pytest.approx(value)
        assert (found.high - found.value) / calibrating.Z == pytest.approx(error, abs=1e-9)
    two = [[20, 5], [10, 15]]
    assert kappa(two, is_weighted=True) == kappa(two)
    equal = [[10, 5, 1], [5, 20, 5], [1, 5, 10]]
    weighted = kappa(equal, is_weighted=True)
    pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(equal[i][j])]
    mean = sum(i for i, _ in pairs) / len(pairs)
    correlation = sum((i - mean) * (j - mean) for i, j in pairs) / sum((i - mean) ** 2 for i, _ in pairs)
    assert weighted is not None
    assert weighted.value == pytest.approx(correlation)
    assert kappa([[5, 0], [0, 0]]) is None
    assert kappa([[0, 0], [0, 0]]) is None


def test_says_what_people_agree_on_and_how_far() -> None:
    items = [
        Judged(("1", "1", "2"), "1"),
        Judged(("1", "2", "3"), "2"),
        Judged(("1", "2"), "1"),
        Judged(("3", "3"), None),
    ]
    found = figures(items, ("1", "2", "3"), is_ordinal=True)
    assert (found.items, found.judged, found.failed, found.undecided) == (4, 2, 1, 1)
    assert found.ceiling is not None
    assert found.ceiling.pairs == 8
    assert found.ceiling.agreement == pytest.approx(2 / 8)
    nominal = figures(items, ("1", "2", "3"), is_ordinal=False)
    assert (nominal.judged, nominal.undecided) == (1, 2)
    assert figures_from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    ("people", "judge", "is_licensed", "why"),
    [
        (["yes", "no"] * 24, ["yes", "no"] * 24, False, "48 items count"),
        (["yes", "no"] * 30, ["yes", "no"] * 30, True, "Above the floor"),
        (["yes"] * 60, ["yes"] * 60, False, "cannot be computed"),
        (["yes", "no"] * 30, ["yes", "no"] * 28 + [None] * 4, False, "56 of 60"),
        (["yes", "no"] * 30, ["no", "yes"] * 30, False, "Below the floor"),
        # 0.70, but not surely.
        (["yes", "no"] * 30, ["yes", "no"] * 21 + ["no", "no", "yes", "yes"] * 4 + ["yes", "no"], False, "Below"),
    ],
)
def test_licenses_only_what_is_surely_above_the_floor(
    people: list[str], judge: list[str | None], is_licensed: bool, why: str
) -> None:
    found = figures(beside(people, judge), ("no", "yes"), is_ordinal=False)
    licensed, sentence = license_of(found, 0.6)
    assert licensed is is_licensed
    assert why in sentence


@pytest.mark.parametrize(
    ("filename", "content", "kind", "problem"),
    [
        ("a.jsonl", b'{"output": "x"}', "judge", 'Row 1: It has no "label"'),
        ("a.jsonl", b'\n{"output": "x", "label": "perhaps"}', "judge", "Row 2: The label perhaps is none of: no, yes"),
        ("a.jsonl", b'{"label": "yes"}', "judge", 'Row 1: It has no "output"'),
        ("a.jsonl", b'{"output": "x", "label": 1}', "judge_pairwise", 'Row 1: It has no "other_output"'),
        ("a.jsonl", b'{"output": "\\u0000", "label": 1}', "judge", "cannot be stored"),
        ("a.jsonl", b"{", "judge", "Row 1: It is not JSON"),
        ("a.jsonl", b"\xff\xfe", "judge", "not in UTF-8"),
        ("a.csv", b"output,label\nx,yes,more\n", "judge", "Row 2: It has more columns"),
        ("a.csv", b"output,label\n", "judge", "There is no row"),
    ],
)
def test_names_the_rows_of_an_upload_that_cannot_be_used(
    filename: str, content: bytes, kind: str, problem: str
) -> None:
    config = KINDS[kind].read({"rubric": "r", "model": "m"})
    with pytest.raises(BadLabels) as refused:
        read_upload(content, filename, grading_of(KINDS[kind], config, 0.5))
    assert problem in refused.value.problems[0]


def test_reads_labels_in_the_words_that_people_use() -> None:
    config = KINDS["judge"].read({"rubric": "r", "model": "m"})
    told = b"question,output,label,label_2,expected\nWhy?,Because,good,FALSE,So\n"
    item = read_upload(told, "labels.csv", grading_of(KINDS["judge"], config, 0.5))[0]
    assert item.labels == ("good", "FALSE")
    assert item.case == {"variables": {"question": "Why?"}, "output": "Because", "other_output": None, "expected": "So"}
    grading = grading_of(KINDS["judge"], config, 0.5)
    assert [grading.category(label) for label in ("good", "FALSE", "1", "0", "x")] == ["yes", "no", "yes", "no", None]
    share = grading_of(KINDS["faithfulness"], {}, 0.8)
    assert [share.category(label) for label in ("0.8", "0.79", "good", "1", "0")] == ["pass", "fail", "pass"] + [
        "pass",
        "fail",
    ]
