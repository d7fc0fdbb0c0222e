"""Shapes of promotions in the API."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.evals.gate_serializers import ReportOutput
from apps.promotions.models import Promotion
from apps.promotions.promotion_forms import LONGEST_COMMENT, LONGEST_REASON, LONGEST_WHY
from apps.promotions.promotion_words import words_of
from apps.promotions.selectors.decisions import approvals_needed
from apps.promotions.selectors.promotion_facts import facts_of, facts_of_line, model_of
from apps.promotions.selectors.promotions import LARGEST_NUMBER, CheckView, PromotionLine, TrailLine
from apps.promotions.types import DecisionKind, PromotionKind, PromotionOrigin, PromotionState, Purpose

STATES = ", ".join(state.value for state in PromotionState)


class PromotionsQuery(serializers.Serializer[Any]):
    """Which promotions."""

    prompt = serializers.CharField(required=False, default="", help_text="of this prompt alone")
    environment = serializers.CharField(required=False, default="", help_text="into this environment alone")
    state = serializers.ChoiceField([state.value for state in PromotionState], required=False, default="")
    cursor = serializers.IntegerField(required=False, default=None, min_value=1, max_value=LARGEST_NUMBER)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class AskInput(StrictSerializer):
    """What shall go live, where, and why."""

    prompt = serializers.CharField(max_length=200)
    version = serializers.CharField(max_length=64, help_text="such as 1.2.0, or latest")
    environment = serializers.CharField(max_length=64)
    model = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=300, help_text="empty for the version's own"
    )
    why = serializers.CharField(required=False, default="", allow_blank=True, max_length=LONGEST_WHY)
    purpose = serializers.ChoiceField(
        [purpose.value for purpose in Purpose],
        required=False,
        default=Purpose.LIVE.value,
        help_text="experiment: it may be an arm once it is approved",
    )
    kind = serializers.ChoiceField(
        [kind.value for kind in PromotionKind],
        required=False,
        default=PromotionKind.PROMOTION.value,
        help_text="override: without gates; a reviewer asks and says why, an admin approves, a review is due",
    )
    origin = serializers.RegexField(
        r"\A(api|cli)\Z", required=False, default=PromotionOrigin.API.value, help_text="api, or cli for a command line"
    )


class ReasonInput(StrictSerializer):
    """A reason, which may be left out."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=LONGEST_REASON)


class RejectInput(StrictSerializer):
    """A reason, so that whoever asked knows what to change."""

    reason = serializers.CharField(max_length=LONGEST_REASON)


class CommentInput(StrictSerializer):
    """A comment."""

    text = serializers.CharField(max_length=LONGEST_COMMENT)


class FollowUpInput(StrictSerializer):
    """What the review after an override found."""

    finding = serializers.CharField(max_length=LONGEST_COMMENT)


class NothingInput(StrictSerializer):
    """No fields."""


# --- Answers ------------------------------------------------------------------------------------------------


class PromotionFields(serializers.Serializer[Promotion]):
    """What every answer says of a promotion."""

    number = serializers.IntegerField()
    id = serializers.UUIDField(source="uuid")
    url = serializers.SerializerMethodField()
    kind = serializers.CharField(help_text="promotion or override")
    purpose = serializers.CharField(help_text="live or experiment")
    state = serializers.CharField(help_text=STATES)
    prompt = serializers.CharField(source="prompt.name")
    version = serializers.SerializerMethodField()
    model = serializers.CharField(help_text="in place of the version's own; empty for that")
    environment = serializers.CharField(source="environment.slug")
    in_place_of = serializers.SerializerMethodField(help_text="the version that was live when it was asked for")
    content_hash = serializers.CharField()
    why = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField(), help_text="why it is refused, rejected or void")
    asked_by = serializers.CharField(source="requester_name")
    asked_by_kind = serializers.CharField(source="requester_kind", help_text="user, key or system")
    origin = serializers.CharField(help_text="page, api, cli, git, experiment or sample")
    approvals_needed = serializers.SerializerMethodField()
    is_live_now = serializers.SerializerMethodField(help_text="whether the environment answers what it made live")
    live_since = serializers.DateTimeField(source="deployment.started_at", allow_null=True, default=None)
    live_until = serializers.DateTimeField(source="deployment.ended_at", allow_null=True, default=None)
    asked_at = serializers.DateTimeField()
    checked_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)

    def get_url(self, promotion: Promotion) -> str:
        """Its page."""
        project = self.context["project"]
        path = reverse("promotion", kwargs={"project": project.slug, "number": promotion.number})
        return str(self.context["request"].build_absolute_uri(path))

    def get_version(self, promotion: Promotion) -> str:
        """The number."""
        return str(promotion.version.number)

    def get_in_place_of(self, promotion: Promotion) -> str | None:
        """The number; null where nothing was live."""
        return None if promotion.live_before is None else str(promotion.live_before.version.number)

    def get_approvals_needed(self, promotion: Promotion) -> int:
        """People who neither wrote nor asked."""
        return approvals_needed(promotion)

    def get_is_live_now(self, promotion: Promotion) -> bool:
        """False before it went live and after something else did."""
        return promotion.deployment is not None and promotion.deployment.ended_at is None


class PromotionLineOutput(serializers.Serializer[Any]):
    """A promotion in a list."""

    def to_representation(self, line: PromotionLine) -> dict[str, Any]:
        """The promotion with its counts."""
        told: dict[str, Any] = dict(PromotionFields(line.promotion, context=self.context).data)
        sentence = words_of(facts_of_line(line)).sentence
        return told | {
            "sentence": sentence,
            "gates": line.gates,
            "gates_passed": line.passed,
            "approvals": line.approvals,
        }


class PromotionLineShape(PromotionFields):
    """A promotion in a list, for the document of the API."""

    sentence = serializers.CharField()
    gates = serializers.IntegerField()
    gates_passed = serializers.IntegerField()
    approvals = serializers.IntegerField()


class PromotionsOutput(serializers.Serializer[Any]):
    """A page of promotions, newest first."""

    items = PromotionLineShape(many=True)
    next = serializers.IntegerField(allow_null=True)


class CheckOutput(serializers.Serializer[CheckView]):
    """One gate: how far its run is, and its frozen report."""

    gate = serializers.CharField(source="check.gate.slug")
    state = serializers.CharField(source="check.state", help_text="waiting, passed, failed or cannot_tell")
    run = serializers.IntegerField(source="run.number", allow_null=True, default=None)
    done = serializers.IntegerField(source="ended")
    total = serializers.IntegerField(source="run.total", allow_null=True, default=None)
    problem = serializers.CharField(source="check.problem", help_text="why no run could be started; else empty")
    report = ReportOutput(allow_null=True)


class DecisionOutput(serializers.Serializer[Any]):
    """What somebody decided."""

    decision = serializers.CharField(source="kind", help_text="approved or rejected")
    by = serializers.CharField()
    by_key = serializers.BooleanField(source="is_key")
    reason = serializers.CharField(source="text")
    at = serializers.DateTimeField()


class CommentOutput(serializers.Serializer[Any]):
    """What somebody wrote."""

    by = serializers.CharField()
    text = serializers.CharField()
    at = serializers.DateTimeField()


class HistoryOutput(serializers.Serializer[Any]):
    """Something that happened."""

    kind = serializers.CharField()
    sentence = serializers.CharField(source="text")
    by = serializers.CharField()
    at = serializers.DateTimeField()


class FollowUpOutput(serializers.Serializer[Any]):
    """The review that an override owes."""

    due_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True)
    done_by = serializers.CharField(source="done_by.email", allow_null=True, default=None)
    finding = serializers.CharField()


class PromotionOutput(PromotionFields):
    """One promotion, whole. The context carries its checks, its trail and the problems of its evidence."""

    sentence = serializers.SerializerMethodField()
    answering_model = serializers.SerializerMethodField(help_text="empty where callers choose")
    changes = serializers.ListField(child=serializers.CharField(), help_text="what it changes, in sentences")
    rule = serializers.SerializerMethodField(help_text="the release rule as it was")
    approvals = serializers.SerializerMethodField()
    gates = serializers.SerializerMethodField()
    decisions = serializers.SerializerMethodField()
    comments = serializers.SerializerMethodField()
    history = serializers.SerializerMethodField()
    evidence_problems = serializers.SerializerMethodField(
        help_text="while it waits for a decision: why what it was judged by does not hold now"
    )
    follow_up = serializers.SerializerMethodField(help_text="the review that an override owes")

    def _trail(self, what: str) -> list[TrailLine]:
        return [line for line in self.context["trail"] if line.what == what]

    def get_sentence(self, promotion: Promotion) -> str:
        """Where it stands, in one sentence."""
        return words_of(facts_of(promotion, self.context["checks"], self.context["trail"])).sentence

    def get_answering_model(self, promotion: Promotion) -> str:
        """The model that would answer."""
        return model_of(promotion.version, promotion.model)

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_rule(self, promotion: Promotion) -> dict[str, Any] | None:
        """Gates, approvals, what is watched; null where there was none."""
        return dict(promotion.rule_said) or None

    def get_approvals(self, promotion: Promotion) -> int:
        """How many there are."""
        return sum(line.kind == DecisionKind.APPROVED.value for line in self._trail("decision"))

    @extend_schema_field(CheckOutput(many=True))
    def get_gates(self, promotion: Promotion) -> Any:
        """The gates with their reports."""
        return CheckOutput(self.context["checks"], many=True).data

    @extend_schema_field(DecisionOutput(many=True))
    def get_decisions(self, promotion: Promotion) -> Any:
        """Oldest first."""
        return DecisionOutput(self._trail("decision"), many=True).data

    @extend_schema_field(CommentOutput(many=True))
    def get_comments(self, promotion: Promotion) -> Any:
        """Oldest first."""
        return CommentOutput(self._trail("comment"), many=True).data

    @extend_schema_field(HistoryOutput(many=True))
    def get_history(self, promotion: Promotion) -> Any:
        """Oldest first."""
        return HistoryOutput(self._trail("event"), many=True).data

    def get_evidence_problems(self, promotion: Promotion) -> list[str]:
        """Sentences."""
        return list(self.context["problems"])

    @extend_schema_field(FollowUpOutput(allow_null=True))
    def get_follow_up(self, promotion: Promotion) -> Any:
        """Null where none is owed."""
        found = getattr(promotion, "follow_up", None)
        return None if found is None else FollowUpOutput(found).data
