"""The figures of retrievals, tasks and tool runs as pages and the API name them. Pure.

Rates are 0 to 1, times milliseconds, percentiles of the nearest rank. Everything is None where there is nothing that
could be measured: a rate of no tasks, a score of no documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.telemetry.tallies import BILLION, Tally
from apps.telemetry.utilisation import METHODS


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


@dataclass(frozen=True)
class Timed:
    """What things that take time add up to."""

    tally: Tally

    @property
    def latency_p50(self) -> int | None:
        """Milliseconds that half of them took at most."""
        return _whole(self.tally.spreads["latency_ms"].p50)

    @property
    def latency_p99(self) -> int | None:
        """Milliseconds that all but a hundredth of them took at most."""
        return _whole(self.tally.spreads["latency_ms"].p99)


@dataclass(frozen=True)
class Ending(Timed):
    """What things that succeed, fail or run out of time add up to."""

    @property
    def success(self) -> int:
        """Those that succeeded."""
        return self.tally["success"]

    @property
    def failure(self) -> int:
        """Those that failed."""
        return self.tally["failure"]

    @property
    def timeout(self) -> int:
        """Those that ran out of time or were cancelled."""
        return self.tally["timeout"]

    @property
    def ended(self) -> int:
        """Those whose outcome is known."""
        return self.success + self.failure + self.timeout

    @property
    def success_rate(self) -> float | None:
        """The share of the ended ones that succeeded."""
        return self._of_ended(self.success)

    @property
    def failure_rate(self) -> float | None:
        """The share of the ended ones that failed."""
        return self._of_ended(self.failure)

    @property
    def timeout_rate(self) -> float | None:
        """The share of the ended ones that ran out of time."""
        return self._of_ended(self.timeout)

    def _of_ended(self, count: int) -> float | None:
        return count / self.ended if self.ended else None


@dataclass(frozen=True)
class RetrievalFigures(Timed):
    """What some retrievals add up to."""

    @property
    def retrievals(self) -> int:
        """Spans of kind retriever."""
        return self.tally["retrievals"]

    @property
    def failures(self) -> int:
        """Those that ended in an error."""
        return self.tally["failures"]

    @property
    def found(self) -> int:
        """Those that brought at least one document."""
        return self.tally["counted"] - self.tally["empty"]

    @property
    def empty(self) -> int:
        """Those that brought no document."""
        return self.tally["empty"]

    @property
    def untold(self) -> int:
        """Those that neither failed nor said what they brought."""
        return max(0, self.retrievals - self.failures - self.tally["counted"])

    @property
    def counted(self) -> int:
        """Those of which the number of documents is known."""
        return self.tally["counted"]

    @property
    def empty_rate(self) -> float | None:
        """The share without a document, of those of which the number is known."""
        return self.tally.rate("empty", "counted")

    @property
    def failure_rate(self) -> float | None:
        """The share that failed."""
        return self.tally.rate("failures", "retrievals")

    @property
    def chunks(self) -> float | None:
        """Documents per retrieval, on average."""
        return self.tally.mean("chunks", "counted")

    @property
    def scored(self) -> int:
        """Those with a score."""
        return self.tally.spreads["top_score"].count

    @property
    def score_p10(self) -> float | None:
        """A tenth of the retrievals have no better document than this."""
        return self.tally.spreads["top_score"].p10

    @property
    def score_p50(self) -> float | None:
        """The score of the best document, in the middle."""
        return self.tally.spreads["top_score"].p50

    @property
    def score_p90(self) -> float | None:
        """Nine tenths of the retrievals have no better document than this."""
        return self.tally.spreads["top_score"].p90

    @property
    def rerankings(self) -> int:
        """Retrievals and reranker spans with documents that a reranker put in order."""
        return self.tally["rerankings"]

    @property
    def mean_shift(self) -> float | None:
        """By how many places a reranker moved a document, on average."""
        return self.tally.mean("shift_millionths", "shifted")

    @property
    def replaced_of_top3(self) -> float | None:
        """How many of a reranker's first three were not there before it, on average."""
        return self.tally.mean("replaced_of_top3", "shifted")

    def uses(self, method: str) -> int:
        """Retrievals whose utilisation was found by this method."""
        return self.tally[f"{method}_uses"]

    def utilisation(self, method: str) -> float | None:
        """Their mean utilisation."""
        return self.tally.mean(f"{method}_millionths", f"{method}_uses")

    @property
    def utilisations(self) -> list[tuple[str, int, float]]:
        """Method, retrievals and mean utilisation for each method that was used, the commonest first."""
        found = [(method, self.uses(method), self.utilisation(method)) for method in METHODS]
        return sorted(((method, count, mean) for method, count, mean in found if mean is not None), key=lambda x: -x[1])


@dataclass(frozen=True)
class TaskFigures(Ending):
    """What some tasks add up to."""

    @property
    def tasks(self) -> int:
        """How many there are."""
        return self.tally["tasks"]

    @property
    def unended(self) -> int:
        """Those that have no end yet."""
        return self.tasks - self.ended

    @property
    def loops(self) -> int:
        """Those flagged with a loop."""
        return self.tally["loops"]

    @property
    def loop_rate(self) -> float | None:
        """The share with a loop, of those of which it can be known."""
        return self.tally.rate("loops", "judged_loops")

    @property
    def steps_p50(self) -> int | None:
        """Steps of a task, in the middle."""
        return _whole(self.tally.spreads["steps"].p50)

    @property
    def steps_p99(self) -> int | None:
        """All but a hundredth of the tasks took at most so many steps."""
        return _whole(self.tally.spreads["steps"].p99)

    @property
    def tool_runs(self) -> int:
        """Tool runs within tasks."""
        return self.tally["tool_runs"]

    @property
    def tool_runs_p50(self) -> int | None:
        """Tool runs of a task, in the middle."""
        return _whole(self.tally.spreads["tool_runs"].p50)

    @property
    def tool_runs_p99(self) -> int | None:
        """All but a hundredth of the tasks had at most so many tool runs."""
        return _whole(self.tally.spreads["tool_runs"].p99)

    @property
    def handoffs(self) -> int:
        """From one agent to another, within tasks."""
        return self.tally["handoffs"]

    @property
    def cost_usd(self) -> Decimal | None:
        """The sum of what is known."""
        return self.tally.cost_usd

    @property
    def cost_per_task(self) -> Decimal | None:
        """Dollars per task with a known cost."""
        return self.cost_usd / self.tally["priced"] if self.cost_usd is not None and self.tally["priced"] else None

    @property
    def cost_p50(self) -> Decimal | None:
        """Dollars of a task, in the middle."""
        return _dollars(self.tally.spreads["cost_billionths"].p50)

    @property
    def cost_p99(self) -> Decimal | None:
        """All but a hundredth of the tasks cost at most so many dollars."""
        return _dollars(self.tally.spreads["cost_billionths"].p99)


def _dollars(billionths: float | None) -> Decimal | None:
    return None if billionths is None else Decimal(int(billionths)) / BILLION


@dataclass(frozen=True)
class ToolFigures(Ending):
    """What some runs of tools add up to."""

    @property
    def runs(self) -> int:
        """How many there are."""
        return self.tally["runs"]
