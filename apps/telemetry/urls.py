"""Routes of telemetry; its hot door is not among them (see `doors`)."""

from django.urls import path

from apps.telemetry.api import facts as facts_api
from apps.telemetry.api import foreign_scores
from apps.telemetry.api import intake as intake_api
from apps.telemetry.api import lifecycle as lifecycle_api
from apps.telemetry.api import review as review_api
from apps.telemetry.api import scores as scores_api
from apps.telemetry.api import traces as api
from apps.telemetry.views import (
    feedback,
    intake,
    lifecycle,
    one_trace,
    review,
    sample,
    saved_views,
    scores,
    sessions,
    traces,
    users,
)

urlpatterns = [
    path("sample", sample.sample_create, name="sample_create"),
    path("p/<slug:project>/sample", sample.sample, name="sample"),
    path("p/<slug:project>/sample/remove", sample.sample_remove, name="sample_remove"),
    path("p/<slug:project>/traces", traces.traces, name="traces"),
    path("p/<slug:project>/traces/<str:trace_id>.json", one_trace.trace_json, name="trace_json"),
    path("p/<slug:project>/traces/<str:trace_id>", one_trace.trace, name="trace"),
    path("p/<slug:project>/traces/<str:trace_id>/review", review.trace_review, name="trace_review"),
    path("p/<slug:project>/sessions", sessions.sessions, name="sessions"),
    path("p/<slug:project>/sessions/one", sessions.session, name="session"),
    path("p/<slug:project>/users", users.users, name="users"),
    path("p/<slug:project>/users/one", users.user, name="user"),
    path("p/<slug:project>/views", saved_views.saved_views, name="saved_views"),
    path("p/<slug:project>/views/<uuid:view>/change", saved_views.saved_view_change, name="saved_view_change"),
    path("p/<slug:project>/views/<uuid:view>/delete", saved_views.saved_view_delete, name="saved_view_delete"),
    path("p/<slug:project>/settings/intake", intake.settings_intake, name="settings_intake"),
    path("p/<slug:project>/settings/intake/samples/<int:sample>", intake.intake_sample, name="intake_sample"),
    path("api/v1/intake", intake_api.IntakeApi.as_view(), name="api_intake"),
    path("p/<slug:project>/review", review.review, name="review"),
    path("p/<slug:project>/review/rules", review.review_rules_page, name="review_rules"),
    path("p/<slug:project>/review/rules/<uuid:rule>/remove", review.review_rule_remove, name="review_rule_remove"),
    path("p/<slug:project>/review/dismiss", review.review_dismiss, name="review_dismiss"),
    path("p/<slug:project>/review/<uuid:item>", review.review_item, name="review_item"),
    path("p/<slug:project>/review/<uuid:item>/claim", review.review_claim, name="review_claim"),
    path("p/<slug:project>/review/<uuid:item>/skip", review.review_skip, name="review_skip"),
    path("p/<slug:project>/review/<uuid:item>/free", review.review_free, name="review_free"),
    path("p/<slug:project>/review/<uuid:item>/note", review.review_note, name="review_note"),
    path("api/v1/review-items", review_api.ReviewItemsApi.as_view(), name="api_review_items"),
    path("api/v1/review-items/<uuid:item>", review_api.ReviewItemApi.as_view(), name="api_review_item"),
    path("api/v1/review-items/<uuid:item>/decide", review_api.DecideApi.as_view(), name="api_review_decide"),
    path("api/v1/review-items/<uuid:item>/dismiss", review_api.DismissApi.as_view(), name="api_review_dismiss"),
    path("api/v1/traces/<str:trace_id>/notes", review_api.NotesApi.as_view(), name="api_trace_notes"),
    path("p/<slug:project>/traces/<str:trace_id>/scores", scores.trace_scores, name="trace_scores"),
    path("feedback.js", feedback.feedback_script, name="feedback_script"),
    path("f/<str:token>", feedback.feedback_page, name="feedback"),
    path("api/v1/scores", scores_api.ScoresApi.as_view(), name="api_scores"),
    path("api/public/scores", foreign_scores.LangfuseScoresApi.as_view(), name="langfuse_scores"),
    path("api/public/ingestion", foreign_scores.LangfuseIngestionApi.as_view(), name="langfuse_ingestion"),
    *(
        path(f"{start}v1/private/{what}/feedback-scores", view.as_view(), name=f"{name}_{what}")
        for start, what, view, name in (
            ("api/", "traces", foreign_scores.OpikScoresApi, "api_opik_scores"),
            ("api/", "spans", foreign_scores.OpikSpanScoresApi, "api_opik_scores"),
            ("", "traces", foreign_scores.BareOpikScoresApi, "opik_scores"),
            ("", "spans", foreign_scores.BareOpikSpanScoresApi, "opik_scores"),
        )
    ),
    path("api/v1/feedback-links", scores_api.FeedbackLinksApi.as_view(), name="api_feedback_links"),
    path("p/<slug:project>/settings/data", lifecycle.settings_data, name="settings_data"),
    path("p/<slug:project>/settings/data/masking", lifecycle.settings_masking, name="settings_masking"),
    path("p/<slug:project>/settings/data/masking/try", lifecycle.settings_masking_try, name="settings_masking_try"),
    path("p/<slug:project>/settings/data/erasures", lifecycle.settings_erasures, name="settings_erasures"),
    path(
        "p/<slug:project>/settings/data/erasures/<uuid:erasure>.json",
        lifecycle.settings_erasure_receipt,
        name="settings_erasure_receipt",
    ),
    path("p/<slug:project>/settings/data/export", lifecycle.settings_export, name="settings_export"),
    path("api/v1/export", lifecycle_api.ExportApi.as_view(), name="api_export"),
    path("api/v1/erasures", lifecycle_api.ErasuresApi.as_view(), name="api_erasures"),
    path("api/v1/erasures/<uuid:erasure>", lifecycle_api.ErasureApi.as_view(), name="api_erasure"),
    path("api/v1/traces", api.TracesApi.as_view(), name="api_traces"),
    path("api/v1/traces/<str:trace_id>", api.TraceApi.as_view(), name="api_trace"),
    path("api/v1/retrieval", facts_api.RetrievalApi.as_view(), name="api_retrieval"),
    path("api/v1/agents", facts_api.AgentsApi.as_view(), name="api_agents"),
    path("api/v1/metrics", api.MetricsApi.as_view(), name="api_metrics"),
    path("api/v1/spans", api.SpansApi.as_view(), name="api_spans"),
]
