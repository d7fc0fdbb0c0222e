"""Doors for machines that watch us: alive, ready, and figures."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from apps.core import readiness
from apps.core.permissions import open_page, token_page

LOOPBACK = {"127.0.0.1", "::1"}
RETRY_SECONDS = 5


@open_page
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all. It asks nobody else, so restarting is the cure when it fails."""
    return _uncached(JsonResponse({"status": "alive"}))


@open_page
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when requests can be served; 503 with the reasons in words when they cannot, which no restart cures."""
    found = readiness.findings()
    ready = readiness.is_ready(found)
    checks = [
        {"name": finding.name, "ok": finding.is_well, "needed": finding.is_needed, "says": finding.says}
        for finding in found
    ]
    response = JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": checks}, status=200 if ready else 503
    )
    if not ready:
        response["Retry-After"] = str(RETRY_SECONDS)
    return _uncached(response)


@token_page
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in Prometheus' text format, for the holder of the token; without a token set, for this machine alone."""
    if not _may_read_metrics(request):
        return _uncached(HttpResponse("Send the metrics token as 'Authorization: Bearer <token>'.\n", status=403))
    figures = generate_latest(REGISTRY) + generate_latest(_checks())
    return _uncached(HttpResponse(figures, content_type=CONTENT_TYPE_LATEST))


def _checks() -> CollectorRegistry:
    """The findings of readiness as figures, so that an alarm can be set on each."""
    registry = CollectorRegistry()
    check = Gauge("prodworthy_check_ok", "1 while this check of /readyz is well", ["check"], registry=registry)
    ready = Gauge("prodworthy_ready", "1 while /readyz answers 200", registry=registry)
    found = readiness.findings()
    for finding in found:
        check.labels(finding.name).set(finding.is_well)
    ready.set(readiness.is_ready(found))
    return registry


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode())
    # Behind a proxy on this machine every caller seems to be local; the proxy's header tells them apart.
    came_through_proxy = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not came_through_proxy


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
