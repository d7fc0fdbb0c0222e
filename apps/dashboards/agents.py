"""What the Agents page shows, worked out from facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.core import formats
from apps.dashboards.verdict import FEW_CALLS
from apps.telemetry.fact_figures import TaskFigures, ToolFigures

if TYPE_CHECKING:
    from apps.telemetry.selectors.agents import AgentTables, WorstTask

MOST_ROWS = 50
MORE_FAILED = 0.02
MORE_FAILED_SHARE = 1.5
MORE_STEPS = 1.5
OFTEN_FAILED = 0.2
OFTEN_LOOPED = 0.02


@dataclass(frozen=True)
class AgentRow:
    """A line of a table: an agent or a feature."""

    value: str
    figures: TaskFigures


@dataclass(frozen=True)
class ToolRow:
    """A line of the table of tools; `share` is of all runs, 0 to 1."""

    value: str
    figures: ToolFigures
    share: float


class AgentFinding(StrEnum):
    """What the page opens with."""

    NOTHING = "nothing"
    ONLY_TOOLS = "only_tools"
    FEW = "few"
    FAILED_UP = "failed_up"
    STEPS_UP = "steps_up"
    LOOPS = "loops"
    FAILED_HIGH = "failed_high"
    CALM = "calm"


@dataclass(frozen=True)
class AgentsPage:
    """The page's content."""

    tables: AgentTables
    total: TaskFigures
    before: TaskFigures
    series: Sequence[TaskFigures]
    agents: Sequence[AgentRow]
    features: Sequence[AgentRow]
    tools: Sequence[ToolRow]
    all_tools: ToolFigures
    tools_before: ToolFigures
    tool_series: Sequence[ToolFigures]
    worst: Mapping[str, Sequence[WorstTask]]

    @property
    def is_comparable(self) -> bool:
        """Whether both times have enough ended tasks for a change to say something."""
        return min(self.total.ended, self.before.ended) >= FEW_CALLS

    @property
    def worse_is(self) -> formats.Good:
        """The direction in which less is better; none while nothing can be compared."""
        return "down" if self.is_comparable else "none"

    @property
    def better_is(self) -> formats.Good:
        """The direction in which more is better."""
        return "up" if self.is_comparable else "none"

    @property
    def unsuccessful(self) -> float | None:
        """The share of ended tasks that failed or ran out of time."""
        return None if self.total.success_rate is None else 1 - self.total.success_rate

    @property
    def unsuccessful_before(self) -> float | None:
        """The same in the time before."""
        return None if self.before.success_rate is None else 1 - self.before.success_rate

    @property
    def finding(self) -> AgentFinding:
        """What is most worth saying."""
        total, before = self.total, self.before
        if not total.tasks:
            return AgentFinding.ONLY_TOOLS if self.all_tools.runs else AgentFinding.NOTHING
        if total.ended < FEW_CALLS:
            return AgentFinding.FEW
        failed, failed_before = self.unsuccessful or 0.0, self.unsuccessful_before or 0.0
        if self.is_comparable:
            if failed - failed_before >= MORE_FAILED and failed >= failed_before * MORE_FAILED_SHARE:
                return AgentFinding.FAILED_UP
            if total.steps_p99 and before.steps_p99 and total.steps_p99 >= before.steps_p99 * MORE_STEPS:
                return AgentFinding.STEPS_UP
        if total.loop_rate is not None and total.loop_rate >= OFTEN_LOOPED:
            return AgentFinding.LOOPS
        return AgentFinding.FAILED_HIGH if failed >= OFTEN_FAILED else AgentFinding.CALM


def build(tables: AgentTables, worst: Mapping[str, Sequence[WorstTask]]) -> AgentsPage:
    """The page from what was read."""
    tasks, tools = tables.tasks, tables.tools
    runs = tools.total["runs"]
    return AgentsPage(
        tables=tables,
        total=TaskFigures(tasks.total),
        before=TaskFigures(tasks.before),
        series=[TaskFigures(each) for each in tasks.series],
        agents=_largest(AgentRow(value, TaskFigures(each)) for value, each in tasks.by_name.items()),
        features=_largest(AgentRow(value, TaskFigures(each)) for value, each in tasks.by_feature.items()),
        tools=sorted(
            (ToolRow(value, ToolFigures(each), each["runs"] / runs) for value, each in tools.by_name.items()),
            key=lambda row: (-row.figures.runs, row.value),
        )[:MOST_ROWS],
        all_tools=ToolFigures(tools.total),
        tools_before=ToolFigures(tools.before),
        tool_series=[ToolFigures(each) for each in tools.series],
        worst=worst,
    )


def _largest(rows: Iterable[AgentRow]) -> list[AgentRow]:
    return sorted(rows, key=lambda row: (-row.figures.tasks, row.value))[:MOST_ROWS]
