"""Routes of telemetry; its hot door is not among them (see `doors`)."""

from django.urls import path

from apps.telemetry import api, views

urlpatterns = [
    path("sample", views.sample_create, name="sample_create"),
    path("p/<slug:project>/sample", views.sample, name="sample"),
    path("p/<slug:project>/sample/remove", views.sample_remove, name="sample_remove"),
    path("p/<slug:project>/traces", views.traces, name="traces"),
    path("p/<slug:project>/traces/<str:trace_id>.json", views.trace_json, name="trace_json"),
    path("p/<slug:project>/traces/<str:trace_id>", views.trace, name="trace"),
    path("api/v1/traces", api.TracesApi.as_view(), name="api_traces"),
    path("api/v1/traces/<str:trace_id>", api.TraceApi.as_view(), name="api_trace"),
    path("api/v1/metrics", api.MetricsApi.as_view(), name="api_metrics"),
    path("api/v1/spans", api.SpansApi.as_view(), name="api_spans"),
]
