"""Routes of telemetry; its hot door is not among them (see `doors`)."""

from django.urls import path

from apps.telemetry.api import traces as api
from apps.telemetry.views import sample, traces

urlpatterns = [
    path("sample", sample.sample_create, name="sample_create"),
    path("p/<slug:project>/sample", sample.sample, name="sample"),
    path("p/<slug:project>/sample/remove", sample.sample_remove, name="sample_remove"),
    path("p/<slug:project>/traces", traces.traces, name="traces"),
    path("p/<slug:project>/traces/<str:trace_id>.json", traces.trace_json, name="trace_json"),
    path("p/<slug:project>/traces/<str:trace_id>", traces.trace, name="trace"),
    path("api/v1/traces", api.TracesApi.as_view(), name="api_traces"),
    path("api/v1/traces/<str:trace_id>", api.TraceApi.as_view(), name="api_trace"),
    path("api/v1/metrics", api.MetricsApi.as_view(), name="api_metrics"),
    path("api/v1/spans", api.SpansApi.as_view(), name="api_spans"),
]
