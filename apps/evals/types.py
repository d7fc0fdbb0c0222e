"""The words of evals that pass between modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

Json = Any


class ReviewState(StrEnum):
    """Whether somebody stands behind an example. Runs take approved ones, unless they are told to take drafts too."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


class ExampleOrigin(StrEnum):
    """Where an example came from."""

    PERSON = "person"
    API = "api"
    IMPORT = "import"
    TRACE = "trace"
    REVIEW = "review"
    PLAYGROUND = "playground"
    SAMPLE = "sample"


class RunKind(StrEnum):
    """Whether the outputs are asked of a model, or brought along by whoever starts the run."""

    MODEL = "model"
    OUTPUTS = "outputs"


class RunState(StrEnum):
    """How far a run is. The states after `running` are ends, and none of them is left again, except that failed
    examples may be tried again, which goes back to `queued`."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELED = "canceled"
    OVER_BUDGET = "over_budget"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """True when nothing more happens by itself."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


class ResultState(StrEnum):
    """How far one example of a run is. `answered`: the output is kept and not scored yet. `failed`: no output, for the
    reason in `error_code`."""

    WAITING = "waiting"
    CALLING = "calling"
    ANSWERED = "answered"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


class ScoreState(StrEnum):
    """Whether a scorer gave a score. `not_scored`: it does not apply, with the reason; `error`: it should have, and
    failed. Neither is a zero."""

    SCORED = "scored"
    NOT_SCORED = "not_scored"
    ERROR = "error"


class RunSource(StrEnum):
    """What started a run."""

    PAGE = "page"
    API = "api"
    CLI = "cli"
    UPGRADE = "upgrade"
    SCHEDULE = "schedule"
    SAMPLE = "sample"


class Verdict(StrEnum):
    """What a comparison says of the candidate, at the stated level."""

    BETTER = "better"
    NOT_WORSE = "not_worse"
    WORSE = "worse"
    WORSE_IN_THE_TAIL = "worse_in_the_tail"
    CANNOT_TELL = "cannot_tell"


class GateVerdict(StrEnum):
    """What a gate says of a run."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a scorer may look at: one example, and what came out for it.

    `output` is the text of the answer; `tool_calls` are {"name", "arguments"} with the arguments as values where they
    could be read as JSON, else as the text the model wrote; `steps` are the messages of an agent's run, when the output
    brought them. Times are milliseconds. What is not known is None.
    """

    variables: Mapping[str, Json] = field(default_factory=dict)
    messages: tuple[Mapping[str, Json], ...] = ()
    """What was sent, as messages in OpenAI's shape."""
    expected: Json = None
    context: tuple[Mapping[str, Json], ...] = ()
    """Documents: {"id", "content", "title"?}."""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    output: str = ""
    tool_calls: tuple[Mapping[str, Json], ...] = ()
    finish_reason: str | None = None
    steps: tuple[Mapping[str, Json], ...] = ()
    latency_ms: int | None = None
    ttft_ms: int | None = None
    cost_usd: Decimal | None = None
    other_output: str | None = None
    """The output of the run this one is compared with; only for pairwise judges."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer said: a value in 0..1 with a reason, or why there is none. `label` is what it decided in words,
    such as the class it found; `details` are shown beside the reason and may hold anything that is JSON."""

    state: ScoreState
    value: float | None
    reason: str
    label: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)


def scored(value: float, reason: str, *, label: str = "", **details: Json) -> Score:
    """A score. Raises ValueError unless the value is a number in 0..1."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"a score lies between 0 and 1, not at {value}")
    return Score(ScoreState.SCORED, float(value), reason, label, details)


def not_scored(reason: str, **details: Json) -> Score:
    """No score, because the scorer does not apply to this case."""
    return Score(ScoreState.NOT_SCORED, None, reason, "", details)


def scorer_failed(reason: str, **details: Json) -> Score:
    """No score, although there should be one."""
    return Score(ScoreState.ERROR, None, reason, "", details)


@dataclass(frozen=True, slots=True)
class ScorerChoice:
    """A scorer that a run shall use. Without a version, the newest. `threshold`: an example passes this scorer from
    this value on; None: the scorer's own pass mark."""

    slug: str
    version: int | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run shall do, as it is asked for. Exactly one of a prompt (version or draft) and `outputs` is set."""

    eval_set: str
    scorers: tuple[ScorerChoice, ...]
    kind: RunKind = RunKind.MODEL
    prompt: str = ""
    version: str = ""
    """A semantic version, or empty for the newest; `draft` for the draft of who asks."""
    model: str = ""
    """As `connection/model`; empty for the one that the prompt names."""
    parameters: Mapping[str, Json] | None = None
    """In place of the prompt's; None keeps those."""
    revision: int | None = None
    """None: the newest."""
    slices: tuple[str, ...] = ()
    """Only examples in one of these slices; empty: all."""
    with_drafts: bool = False
    repetitions: int = 1
    concurrency: int = 20
    budget_usd: Decimal | None = None
    use_cache: bool = True
    environment: str = ""
    feature: str = ""
    name: str = ""
    gate: str = ""
