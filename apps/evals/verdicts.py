"""What a comparison concludes, and the sentence that says it. Pure rules; the numbers come from `stats_compare`.

A candidate is `better` when its mean cannot be lower and its worst tenth cannot have lost more than its margin;
`not_worse` when its mean cannot have lost more than the margin, and the same of the tail. `worse` needs a loss that is
more than chance and possibly more than the margin. `worse_in_the_tail` needs one that is more than chance and was seen
to be as large as the mean's margin: the tail's own margin is about what might have gone unseen, and makes up for no
clear loss. "Cannot" goes by the cautious intervals. Both claims in its favor need both parts, so each is false at most
as often as its weaker part (intersection-union, Berger 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apps.evals.compare import Difference, ScorerComparison, Settings
from apps.evals.types import Verdict

MINUS = "\u2212"
MOST_MISSING = 0.05
"""With a larger share of examples that have a score in one run only, nothing is said in a candidate's favor."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a verdict rests on. `tail` is None where there is no tail to speak of."""

    pairs: int
    missing: int
    mean: Difference
    tail: Difference | None
    shared: Difference | None = None
    """Of the examples that are worst in either run."""


def decide(grounds: Grounds, settings: Settings) -> Verdict:
    """The verdict at the level of the cautious intervals."""
    mean, tail = grounds.mean.cautious, grounds.tail.cautious if grounds.tail is not None else None
    if mean is None or (grounds.tail is not None and tail is None):
        return Verdict.CANNOT_TELL
    if mean.high < 0 and mean.low <= -settings.margin:
        return Verdict.WORSE
    if is_tail_alarm(grounds, settings):
        return Verdict.WORSE_IN_THE_TAIL
    holds = mean.low > -settings.margin and (tail is None or tail.low > -settings.tail_margin)
    if not holds or is_too_patchy(grounds):
        return Verdict.CANNOT_TELL
    return Verdict.BETTER if mean.low > 0 else Verdict.NOT_WORSE


def is_tail_alarm(grounds: Grounds, settings: Settings) -> bool:
    """True when the worst tenth lost the margin or more, and that is more than chance: by the one-sided interval of
    both sides' own tails, or by the examples that are worst in either run, which are paired and so tell more."""
    tail, shared = grounds.tail, grounds.shared
    if tail is None or tail.value is None or tail.value > -settings.margin:
        return False
    if tail.cautious is not None and tail.cautious.high < 0:
        return True
    is_unlikely = shared is not None and shared.test is not None and shared.test.p_value <= 1 - settings.level
    return is_unlikely and shared is not None and (shared.value or 0.0) < 0


def is_too_patchy(grounds: Grounds) -> bool:
    """True when too many examples have a score in one run only."""
    return grounds.missing > MOST_MISSING * (grounds.pairs + grounds.missing)


def needed(
    low_at: Callable[[int], float], tail_low_at: Callable[[int], float] | None, grounds: Grounds, settings: Settings
) -> int | None:
    """About how many examples more would give a verdict in four of five cases, were the differences those seen so far;
    rounded up to two digits. None when no set below a million examples would."""

    def is_enough(count: int) -> bool:
        tail_holds = tail_low_at is None or tail_low_at(count) > -settings.tail_margin
        return low_at(count) > -settings.margin and tail_holds

    most = 1_000_000
    if grounds.pairs < 2 or not is_enough(most):
        return None
    low, high = grounds.pairs, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return rounded_up(high - grounds.pairs)


def rounded_up(count: int) -> int:
    """The number with two digits, rounded up."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def sentence(found: ScorerComparison, settings: Settings, against: str) -> str:
    """One sentence with the numbers."""
    if not found.pairs:
        return f"Cannot tell: no example has a score both here and in {against}."
    examples = "1 example" if found.pairs == 1 else f"{found.pairs:,} examples"
    if found.verdict is Verdict.WORSE_IN_THE_TAIL and found.tail is not None:
        return (
            f"Not an upgrade: {_on_average(found.mean)}, {_share(found.tail)} in the worst tenth than {against} on "
            f"{examples}: {_numbers(found)}."
        )
    if found.verdict is Verdict.CANNOT_TELL:
        return f"Cannot tell yet on {examples} against {against}: {_numbers(found)}; {_doubt(found, settings)}."
    start = {Verdict.BETTER: "Better than", Verdict.NOT_WORSE: "Not worse than"}.get(found.verdict, "Worse than")
    return f"{start} {against} on {examples}: {_numbers(found)}."


def _numbers(found: ScorerComparison) -> str:
    text = f"difference {points(found.mean.value)} points{_range(found.mean, f'{_level(found.mean)} % interval ')}"
    if found.tail is not None and found.tail.value is not None:
        text += f"; worst tenth {points(found.tail.value)} points{_range(found.tail, '')}"
    return text


def _range(difference: Difference, name: str) -> str:
    interval = difference.interval
    if interval is None:
        return ""
    ends = f"{points(interval.low)} to {points(interval.high)}"
    return f", {name}{ends}" if name else f" ({ends})"


def _level(difference: Difference) -> str:
    return f"{100 * (difference.interval.level if difference.interval else 0.95):.3g}"


def _on_average(mean: Difference) -> str:
    if mean.value is None or abs(mean.value) < 0.0005:
        return "as good on average"
    return f"{_share(mean)} on average"


def _share(difference: Difference) -> str:
    """`10.0 % better`, as a share of the baseline; in points where that is zero."""
    value = difference.value or 0.0
    word = "better" if value > 0 else "worse"
    if difference.baseline:
        return f"{abs(100 * value / difference.baseline):.1f} % {word}"
    return f"{abs(100 * value):.1f} points {word}"


def _doubt(found: ScorerComparison, settings: Settings) -> str:
    """Why there is no verdict, and what would help."""
    missing = found.missing_candidate + found.missing_baseline
    if is_too_patchy(Grounds(found.pairs, missing, found.mean, found.tail)):
        return f"{missing:,} more have a score in one run only: retry what failed"
    mean, tail = found.mean.cautious, found.tail.cautious if found.tail is not None else None
    parts = []
    if mean is None or mean.low <= -settings.margin:
        parts.append(_not_ruled_out("a loss", mean.low if mean else None, settings.margin))
    elif tail is None or tail.low <= -settings.tail_margin:
        parts.append(_not_ruled_out("a loss in the worst tenth", tail.low if tail else None, settings.tail_margin))
    if found.needed is not None:
        parts.append(f"about {found.needed:,} more examples would tell")
    return ", ".join(parts)


def _not_ruled_out(what: str, low: float | None, margin: float) -> str:
    if low is None:
        return f"{what} cannot be ruled out with so few"
    return f"{what} of {abs(100 * low):.1f} points cannot be ruled out, {100 * margin:.3g} would be accepted"


def points(value: float | None) -> str:
    """A difference of scores in points with its sign: `+0.8`, `−1.1`, `0.0`."""
    if value is None:
        return "unknown"
    text = f"{abs(100 * value):.1f}"
    if text == "0.0":
        return text
    return ("+" if value > 0 else MINUS) + text
