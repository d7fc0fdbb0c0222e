"""The numbers of each version of a prompt: what its calls cost, how long they took, how they were judged. Pure.

Versions are joined with calls by what the calls say of themselves, `name@version`. So there are versions that nobody
called, and calls of versions that were never published here; both are shown as what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal

from apps.prompts.selectors.live import VersionLine
from apps.telemetry.figures import FigureRow, FigureTable
from apps.telemetry.scoring import ScorePoint
from apps.telemetry.selectors.prompt_use import Use

MOST_SCORES = 2
_DIVIDE = Context(prec=18)


@dataclass(frozen=True, slots=True)
class VersionNumbers:
    """One version. `told` is what calls say, `version` what stands after the @; empty when calls named none."""

    told: str
    version: str
    published: VersionLine | None
    figures: FigureRow
    scores: Mapping[str, ScorePoint]
    use: Use | None

    @property
    def live_in(self) -> tuple[str, ...]:
        """Where it is live now."""
        return self.published.live_in if self.published is not None else ()

    @property
    def cost_per_call(self) -> Decimal | None:
        """US dollars for each call whose price is known; None without such calls."""
        priced = self.figures.calls - self.figures.unpriced_calls
        if self.figures.cost_usd is None or not priced:
            return None
        return _DIVIDE.divide(self.figures.cost_usd, Decimal(priced))

    @property
    def first_on(self) -> date | None:
        """The UTC day of the first call that is still kept."""
        return None if self.use is None else self.use.first_on

    @property
    def last_on(self) -> date | None:
        """The UTC day of the last call."""
        return None if self.use is None else self.use.last_on


@dataclass(frozen=True, slots=True)
class PromptNumbers:
    """All versions: published ones from the newest on, then those that only calls know, by their calls."""

    rows: tuple[VersionNumbers, ...]
    score_names: tuple[str, ...]

    @property
    def calls(self) -> int:
        """The calls of all versions."""
        return sum(row.figures.calls for row in self.rows)


def build(
    names: Sequence[str],
    published: Sequence[VersionLine],
    table: FigureTable,
    scores: Sequence[ScorePoint],
    uses: Mapping[str, Use],
) -> PromptNumbers:
    """Join what is published with what calls told. `names` are the prompt's present name and its former ones."""
    found = {row.group[0]: row for row in table.groups if row.group[0].partition("@")[0] in names}
    silent = FigureTable.of_pieces(table.request, []).total
    judged: dict[str, dict[str, ScorePoint]] = {}
    for point in scores:
        if point.group[0].partition("@")[0] in names:
            judged.setdefault(point.group[0], {})[point.name] = point
    rows = []
    for version in published:
        called = [told for name in names if (told := f"{name}@{version.number}") in found]
        # Calls under a former name are a row of their own: percentiles of two rows do not add up.
        for told in called or [f"{names[0]}@{version.number}"]:
            row = found.pop(told, silent)
            rows.append(VersionNumbers(told, version.number, version, row, judged.get(told, {}), uses.get(told)))
    rest = sorted(found.items(), key=lambda item: -item[1].calls)
    rows += [
        VersionNumbers(told, told.partition("@")[2], None, row, judged.get(told, {}), uses.get(told))
        for told, row in rest
    ]
    return PromptNumbers(tuple(rows), _commonest(judged))


def _commonest(judged: Mapping[str, Mapping[str, ScorePoint]]) -> tuple[str, ...]:
    """The names of the scores given most often."""
    counts: dict[str, int] = {}
    for points in judged.values():
        for name, point in points.items():
            counts[name] = counts.get(name, 0) + point.count
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:MOST_SCORES])
