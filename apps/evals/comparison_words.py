"""What the pages of comparisons say: the headline, the sentence below it, and the table of measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import formats, money
from apps.evals.compare import Comparison, Difference, Ratio, ScorerComparison
from apps.evals.types import Verdict
from apps.evals.verdicts import points

LOOKS = {
    Verdict.BETTER: "pass",
    Verdict.NOT_WORSE: "pass",
    Verdict.WORSE: "fail",
    Verdict.WORSE_IN_THE_TAIL: "fail",
    Verdict.CANNOT_TELL: "open",
}


@dataclass(frozen=True, slots=True)
class Words:
    """The verdict for the head of a page; `look` is a state of the boxes."""

    look: str
    short: str
    sentence: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the table: both sides, the change, its interval and what that says (`better`, `worse`, empty)."""

    name: str
    baseline: str
    candidate: str
    change: str
    interval: str
    direction: str
    test: str = ""


@dataclass(frozen=True, slots=True)
class ScorerLine:
    """A scorer's comparison as the table shows it."""

    found: ScorerComparison
    baseline: str
    candidate: str
    look: str
    short: str


def words_of(found: Comparison) -> Words:
    """The headline and what stands below it."""
    sentence = found.sentence
    if found.verdict is Verdict.WORSE_IN_THE_TAIL and " than " in sentence:
        # The headline has the first half already.
        sentence = _("Against %(rest)s") % {"rest": sentence.split(" than ", 1)[1]}
    return Words(LOOKS[found.verdict], headline(found), sentence, tuple(_notes(found)))


def headline(found: Comparison) -> str:
    """The verdict in a few words; of one that is worse in the tail also by how much."""
    if found.verdict is Verdict.WORSE_IN_THE_TAIL and found.overall.tail is not None:
        return not_an_upgrade(found)
    return {
        Verdict.BETTER: _("Better, in the mean and not worse in the worst tenth"),
        Verdict.NOT_WORSE: _("Not worse"),
        Verdict.WORSE: _("Worse"),
        Verdict.WORSE_IN_THE_TAIL: _("Worse in the tail"),
        Verdict.CANNOT_TELL: _("Cannot tell yet"),
    }[found.verdict]


def not_an_upgrade(found: Comparison) -> str:
    """`Not an upgrade: 10.0 % better on average, 31.0 % worse in the worst tenth`."""
    return found.sentence.split(" than ", 1)[0]


def scorer_lines(found: Comparison) -> list[ScorerLine]:
    """Each scorer with its own verdict."""
    short = {
        Verdict.BETTER: _("Better"),
        Verdict.NOT_WORSE: _("Not worse"),
        Verdict.WORSE: _("Worse"),
        Verdict.WORSE_IN_THE_TAIL: _("Worse in the tail"),
        Verdict.CANNOT_TELL: _("Cannot tell yet"),
    }
    return [
        ScorerLine(
            each,
            formats.number(each.mean.baseline, 3),
            formats.number(each.mean.candidate, 3),
            {"open": "unset"}.get(LOOKS[each.verdict], LOOKS[each.verdict]),
            short[each.verdict],
        )
        for each in found.scorers
    ]


def _notes(found: Comparison) -> list[str]:
    """What a reader must know beside the sentence."""
    overall, notes = found.overall, []
    worse = [each.name for each in found.slices if each.direction == "worse"]
    if worse:
        notes.append(_("Worse in the slices %(names)s.") % {"names": ", ".join(worse)})
    if found.left_out:
        notes.append(
            ngettext(
                "%(count)d example changed between the revisions and is left out.",
                "%(count)d examples changed between the revisions and are left out.",
                found.left_out,
            )
            % {"count": found.left_out}
        )
    if overall.missing_candidate or overall.missing_baseline:
        notes.append(
            _("Without a score: %(candidate)d in the candidate only, %(baseline)d in the baseline only.")
            % {"candidate": overall.missing_candidate, "baseline": overall.missing_baseline}
        )
    if found.unlike_scorers:
        names = ", ".join(found.unlike_scorers)
        notes.append(_("Not compared, because they are not the same in both runs: %(names)s.") % {"names": names})
    if overall.flaky:
        notes.append(_("%(count)d examples pass in some repetitions and fail in others.") % {"count": overall.flaky})
    return notes


def measures(found: Comparison) -> list[Measure]:
    """The lines of the table; what is not known is left out."""
    overall = found.overall
    lines = [_scores(_("Mean score"), overall.mean)]
    if overall.tail is not None:
        lines.append(_scores(_("Worst tenth, mean"), overall.tail))
    if overall.shared_tail is not None:
        lines.append(_scores(_("Worst tenth of either run"), overall.shared_tail))
    lines += [_scores(name, each) for name, each in (("P1", overall.p1), ("P5", overall.p5)) if each is not None]
    if overall.pass_rate is not None:
        lines.append(_rates(_("Pass rate"), overall.pass_rate))
    for name, ratio, write in (
        (_("Latency, P50"), found.latency_p50, formats.milliseconds),
        (_("Latency, P99"), found.latency_p99, formats.milliseconds),
        (_("Cost per answer"), found.cost, _dollars),
    ):
        if ratio is not None:
            lines.append(_ratio(name, ratio, write))
    return lines


def direction_of(difference: Difference) -> str:
    """`better` or `worse` when zero is outside the interval."""
    interval = difference.interval
    if interval is None or interval.low <= 0 <= interval.high:
        return ""
    return "better" if interval.low > 0 else "worse"


def _scores(name: str, difference: Difference) -> Measure:
    return _measure(name, difference, lambda value: formats.number(value, 3))


def _rates(name: str, difference: Difference) -> Measure:
    return _measure(name, difference, formats.percent)


def _measure(name: str, difference: Difference, write: Callable[[float | None], str]) -> Measure:
    return Measure(
        name,
        write(difference.baseline),
        write(difference.candidate),
        points(difference.value),
        interval_of(difference),
        direction_of(difference),
        test_of(difference),
    )


def interval_of(difference: Difference) -> str:
    """`−1.1 to +2.7`, in points."""
    if difference.interval is None:
        return ""
    return _("%(low)s to %(high)s") % {
        "low": points(difference.interval.low),
        "high": points(difference.interval.high),
    }


def test_of(difference: Difference) -> str:
    """`p 0.034, McNemar, exact`."""
    if difference.test is None:
        return ""
    p_value = difference.test.p_value
    text = "p < 0.001" if p_value < 0.001 else f"p {p_value:.3f}"
    return f"{text}, {difference.test.name}"


def _ratio(name: str, ratio: Ratio, write: Callable[[float], str]) -> Measure:
    change = "" if ratio.change is None else _signed_percent(ratio.change)
    interval = ratio.difference.interval
    ends = ""
    if interval is not None:
        ends = _("%(low)s to %(high)s") % {"low": write(interval.low), "high": write(interval.high)}
    before, after = (formats.UNKNOWN if value is None else write(value) for value in (ratio.baseline, ratio.candidate))
    return Measure(name, before, after, change, ends, ratio.direction)


def _signed_percent(share: float) -> str:
    sign = "+" if share > 0 else "−" if share < 0 else ""
    return f"{sign}{abs(100 * share):.1f}\N{NO-BREAK SPACE}%"


def _dollars(value: float) -> str:
    sign = "−" if value < 0 else ""
    return sign + money.display(Decimal(str(abs(value))))
