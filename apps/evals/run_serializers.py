"""Shapes of runs and results in the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps.core import money
from apps.core.rest import StrictSerializer
from apps.evals.models import EvalRun, RunScorer
from apps.evals.reports import verdict_of
from apps.evals.selectors.results import SHOWS, ResultLine, ScoreLine
from apps.evals.selectors.runs import summary_of
from apps.evals.types import RunKind, RunSource, RunSpec, RunState, ScorerChoice

OUTPUTS_AT_ONCE = 1_000


class RunsQuery(serializers.Serializer[Any]):
    """Which runs."""

    eval_set = serializers.CharField(required=False, default="")
    prompt = serializers.CharField(required=False, default="")
    version = serializers.CharField(required=False, default="")
    model = serializers.CharField(required=False, default="")
    state = serializers.ChoiceField([state.value for state in RunState], required=False, default="")
    cursor = serializers.IntegerField(required=False, default=None, min_value=1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ScorerChoiceInput(StrictSerializer):
    """A scorer that the run shall use."""

    slug = serializers.CharField(max_length=100)
    version = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**31 - 1, help_text="the newest without"
    )
    threshold = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=1,
        help_text="an example passes from this value on; the scorer's own without",
    )


class RunInput(StrictSerializer):
    """What a run shall do. A run of a model names a prompt; one of `outputs` brings its answers along."""

    kind = serializers.ChoiceField([kind.value for kind in RunKind], required=False, default=RunKind.MODEL.value)
    eval_set = serializers.CharField(max_length=100)
    scorers = ScorerChoiceInput(many=True)
    prompt = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    version = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=64, help_text="such as 1.2.0; the newest without"
    )
    model = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=300, help_text="connection/model; the prompt's without"
    )
    parameters = serializers.DictField(
        required=False, allow_null=True, default=None, help_text="in place of the prompt's"
    )
    revision = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**31 - 1, help_text="the newest without"
    )
    slices = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, default=list, max_length=100
    )
    with_drafts = serializers.BooleanField(required=False, default=False)
    repetitions = serializers.IntegerField(required=False, default=1, min_value=1, max_value=20)
    concurrency = serializers.IntegerField(required=False, default=20, min_value=1, max_value=200)
    budget_usd = serializers.DecimalField(
        required=False, allow_null=True, default=None, max_digits=20, decimal_places=12, min_value=Decimal("1e-12")
    )
    use_cache = serializers.BooleanField(required=False, default=True)
    environment = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    feature = serializers.CharField(required=False, default="", allow_blank=True, max_length=128)
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    gate = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [RunSource.API.value, RunSource.CLI.value], required=False, default=RunSource.API.value
    )


def spec_of(body: dict[str, Any]) -> RunSpec:
    """A validated RunInput as a run is told of it."""
    told = {name: value for name, value in body.items() if name not in ("kind", "scorers", "slices", "source")}
    return RunSpec(
        kind=RunKind(body["kind"]),
        scorers=tuple(ScorerChoice(one["slug"], one["version"], one["threshold"]) for one in body["scorers"]),
        slices=tuple(body["slices"]),
        **told,
    )


class EstimateOutput(serializers.Serializer[Any]):
    """What a run is expected to take; null where that cannot be known."""

    examples = serializers.IntegerField()
    calls = serializers.IntegerField(help_text="of the model, without retries")
    judge_calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.CharField(allow_null=True, help_text="of both")
    model_usd = serializers.CharField(allow_null=True)
    judge_usd = serializers.CharField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    from_examples = serializers.IntegerField(help_text="how many examples the tokens were taken from")


class RunScorerOutput(serializers.Serializer[RunScorer]):
    """A scorer's version in a run."""

    slug = serializers.CharField()
    kind = serializers.CharField()
    version = serializers.IntegerField(source="version.number")
    threshold = serializers.FloatField()


class RunOutput(serializers.Serializer[EvalRun]):
    """A run with what it measures, how far it is, and, when it ended, what it says."""

    id = serializers.UUIDField(source="uuid")
    number = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.CharField(help_text="queued, running, finished, canceled, over_budget or failed")
    is_over = serializers.SerializerMethodField(help_text="true when nothing more happens by itself")
    reason = serializers.CharField()
    sentence = serializers.CharField(help_text="why it ended as it did; empty for one that simply finished")
    verdict = serializers.SerializerMethodField(
        help_text="passed when every example reached every threshold, failed, or cannot_tell; null until it is over"
    )
    prompt = serializers.CharField(source="prompt_name")
    version = serializers.CharField(source="prompt_version")
    content_hash = serializers.CharField()
    model = serializers.CharField()
    parameters = serializers.JSONField()
    eval_set = serializers.CharField(source="eval_set.slug")
    revision = serializers.IntegerField()
    revision_hash = serializers.CharField()
    slices = serializers.JSONField()
    with_drafts = serializers.BooleanField()
    scorers = serializers.SerializerMethodField()
    repetitions = serializers.IntegerField()
    gate = serializers.CharField(source="gate.slug", allow_null=True, default=None)
    concurrency = serializers.IntegerField()
    use_cache = serializers.BooleanField()
    budget_usd = serializers.SerializerMethodField()
    feature = serializers.CharField()
    environment = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    by = serializers.CharField(source="actor_name")
    awaits_outputs = serializers.BooleanField()
    total = serializers.IntegerField(help_text="results: examples times repetitions")
    done = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="without an output")
    from_cache = serializers.IntegerField()
    calls = serializers.IntegerField()
    spent_usd = serializers.SerializerMethodField(help_text="for answers")
    judge_spent_usd = serializers.SerializerMethodField()
    unpriced_calls = serializers.IntegerField(help_text="when there are any, the spend is a lower bound")
    estimate = serializers.JSONField(allow_null=True)
    summary = serializers.JSONField(allow_null=True, help_text="the figures; null until it is over")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    url = serializers.SerializerMethodField(help_text="its page")

    def get_is_over(self, run: EvalRun) -> bool:
        """True when it ended."""
        return RunState(run.state).is_end

    def get_verdict(self, run: EvalRun) -> str | None:
        """What it came to, without a gate."""
        state = RunState(run.state)
        return verdict_of(state, summary_of(run)).value if state.is_end else None

    def get_scorers(self, run: EvalRun) -> list[dict[str, Any]]:
        """Which versions, in their order."""
        scorers = self.context["scorers"][run.pk]
        return [dict(RunScorerOutput(one).data) for one in scorers]

    def get_budget_usd(self, run: EvalRun) -> str | None:
        """The most it may spend; null without a budget."""
        return money.as_json(run.budget_usd)

    def get_spent_usd(self, run: EvalRun) -> str | None:
        """What its answers cost."""
        return money.as_json(run.spent_usd)

    def get_judge_spent_usd(self, run: EvalRun) -> str | None:
        """What its judges cost."""
        return money.as_json(run.judge_spent_usd)

    def get_url(self, run: EvalRun) -> str:
        """Where people look at it."""
        return f"{self.context['pages']}/{run.number}"


class RunsOutput(serializers.Serializer[Any]):
    """Runs, newest first."""

    items = RunOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class RunQuery(serializers.Serializer[Any]):
    """How to write the run."""

    format = serializers.ChoiceField(["json", "junit", "markdown"], required=False, default="json")


class ResultsQuery(serializers.Serializer[Any]):
    """Which results."""

    show = serializers.ChoiceField(
        SHOWS, required=False, default="", help_text="of everything together, or of `scorer`"
    )
    scorer = serializers.CharField(required=False, default="", max_length=100)
    slice = serializers.CharField(required=False, default="", max_length=100)
    key = serializers.CharField(required=False, default="", max_length=200)
    q = serializers.CharField(required=False, default="", max_length=300, help_text="in key or output")
    against = serializers.CharField(
        required=False, default="", max_length=64, help_text="only what fails here and passed in this run"
    )
    cursor = serializers.CharField(required=False, default="", max_length=100)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ResultScoreOutput(serializers.Serializer[ScoreLine]):
    """What one scorer said. `value` is null unless the state is `scored`."""

    scorer = serializers.CharField(source="slug")
    state = serializers.CharField(source="row.state", help_text="scored, not_scored or error")
    value = serializers.FloatField(source="row.value", allow_null=True)
    is_passed = serializers.BooleanField(allow_null=True)
    threshold = serializers.FloatField()
    label = serializers.CharField(source="row.label")  # type: ignore[assignment]
    reason = serializers.CharField(source="row.reason")
    details = serializers.JSONField(source="row.details")
    trace_id = serializers.CharField(source="row.trace_id")


class ResultOutput(serializers.Serializer[ResultLine]):
    """What came out for one example in one repetition."""

    key = serializers.CharField()
    repetition = serializers.IntegerField(source="result.repetition")
    state = serializers.CharField(source="result.state", help_text="waiting, calling, answered, done, failed, canceled")
    is_passed = serializers.BooleanField(source="result.is_passed", allow_null=True)
    value = serializers.FloatField(source="result.value", allow_null=True, help_text="the worst scorer's")
    slices = serializers.ListField(child=serializers.CharField())
    output = serializers.CharField(source="result.output")
    tool_calls = serializers.JSONField(source="result.tool_calls")
    steps = serializers.JSONField(source="result.steps")
    finish_reason = serializers.CharField(source="result.finish_reason")
    error_code = serializers.CharField(source="result.error_code")
    error = serializers.CharField(source="result.error")
    latency_ms = serializers.IntegerField(source="result.latency_ms", allow_null=True)
    ttft_ms = serializers.IntegerField(source="result.ttft_ms", allow_null=True)
    input_tokens = serializers.IntegerField(source="result.input_tokens", allow_null=True)
    output_tokens = serializers.IntegerField(source="result.output_tokens", allow_null=True)
    cost_usd = serializers.SerializerMethodField()
    is_from_cache = serializers.BooleanField(source="result.is_from_cache")
    trace_id = serializers.CharField(source="result.trace_id")
    scores = ResultScoreOutput(many=True)

    def get_cost_usd(self, line: ResultLine) -> str | None:
        """What the answer cost; null when that is not known."""
        return money.as_json(line.result.cost_usd)


class ResultsOutput(serializers.Serializer[Any]):
    """Results: without an output first, then failing by the lowest value, undecided, passing."""

    items = ResultOutput(many=True)
    next = serializers.CharField(allow_null=True)


class RunBaselineOutput(serializers.Serializer[Any]):
    """A run to compare with; null when there is none."""

    number = serializers.IntegerField(allow_null=True)
    id = serializers.UUIDField(allow_null=True)


class OutputsInput(StrictSerializer):
    """Answers for a run of `outputs`; one for a key that was brought before takes its place."""

    outputs = serializers.ListField(
        child=serializers.DictField(),
        max_length=OUTPUTS_AT_ONCE,
        help_text="{key, output, repetition?, tool_calls?, steps?, latency_ms?, ttft_ms?, cost_usd?, input_tokens?, "
        "output_tokens?, finish_reason?, model?}",
    )
    complete = serializers.BooleanField(required=False, default=False, help_text="these are the last ones; score them")


class OutputsTaken(serializers.Serializer[Any]):
    """How many outputs were taken, and the run's state."""

    taken = serializers.IntegerField()
    state = serializers.CharField()
    awaits_outputs = serializers.BooleanField()
