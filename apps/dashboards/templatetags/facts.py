"""Tags of the Retrieval and Agents pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.core import drawings, formats
from apps.dashboards import fact_sentences
from apps.telemetry.fact_figures import RetrievalFigures
from apps.telemetry.templatetags.figures import trace_url
from apps.telemetry.trace_facts import SUCCESS, TIMEOUT

register = template.Library()

register.filter("score", fact_sentences.score)
register.simple_tag(fact_sentences.method_name)
register.simple_tag(fact_sentences.loop_name)


@register.filter
def decimal(value: float | None) -> str:
    """A number with one digit after the point."""
    return formats.number(value, 1)


@register.simple_tag
def span_url(project: Any, item: Any) -> str:
    """The address of a span of a trace; it carries the time, so that the trace is found in one partition."""
    return f"{trace_url(project, item.trace_id, item.started_at)}&{urlencode({'span': item.span_id})}"


@register.simple_tag
def outcome(value: str | None) -> SafeString | str:
    """How a task ended: icon and word."""
    if value is None:
        return format_html('<span class="muted">{}</span>', _("no end yet"))
    if value == SUCCESS:
        return drawings.status("ok", _("Succeeded"))
    return drawings.status("stale", _("Out of time")) if value == TIMEOUT else drawings.status("error", _("Failed"))


@register.simple_tag
def used(figures: RetrievalFigures) -> SafeString | str:
    """The mean utilisation by the commonest method, which stands in the title."""
    for method, _count, mean in figures.utilisations:
        return format_html('<span title="{}">{}</span>', fact_sentences.method_name(method), formats.percent(mean, 0))
    return formats.UNKNOWN
