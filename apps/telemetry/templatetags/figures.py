"""Tags of the pages of figures: names of groups, and links that narrow a page to one of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.http import QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from apps.core import money
from apps.core.formats import SPACE, milliseconds
from apps.core.templatetags.ui import changed_query
from apps.telemetry.addresses import not_said, write_value
from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.waterfall import Bar, length_of

register = template.Library()


@register.simple_tag
def group_name(value: str, dimension: str) -> SafeString | str:
    """The group's name; in gray when its calls did not say one."""
    return value or format_html('<span class="muted">{}</span>', not_said(dimension))


@register.simple_tag(takes_context=True)
def filter_query(context: template.Context, dimension: str, value: str) -> str:
    """This page's address narrowed to one group."""
    request: Any = context.get("request")
    parameters: QueryDict = request.GET
    return changed_query(parameters, {dimension: write_value(value)})


@register.simple_tag
def trace_url(project: Any, trace_id: str, started_at: datetime) -> str:
    """The address of a trace; it carries the time, so that it is found in one partition."""
    url = reverse("trace", kwargs={"project": project.slug, "trace_id": trace_id})
    return f"{url}?{urlencode({'at': started_at.isoformat()})}"


@register.simple_tag
def parameter(name: str, value: str) -> str:
    """`name=value` for the end of an address."""
    return urlencode({name: value})


@register.simple_tag
def bar_picture(bar: Bar) -> SafeString:
    """A row's bar with its lines of time, which are drawn once for all rows (`#wf-ticks`)."""
    wait = format_html(
        '<rect class="b-wait" x="{}%" y="2" width="{}%" height="10" rx="2"/>', plain(bar.x), plain(bar.wait)
    )
    return format_html(
        '<svg class="wf__time" role="img" aria-label="{}"><use href="#wf-ticks"/>{}'
        '<rect class="b-{}" x="{}%" y="2" width="{}%" height="10" rx="2"/></svg>',
        gettext("starts at %(start)s, takes %(length)s")
        % {"start": milliseconds(bar.start_ms), "length": milliseconds(bar.length_ms)},
        wait if bar.wait else "",
        bar.look,
        plain(bar.after_wait),
        plain(bar.rest),
    )


@register.filter
def span_length(span: SpanView) -> int | None:
    """How long the span took, in milliseconds."""
    return length_of(span)


@register.simple_tag
def session_url(project: Any, session_id: str, at: datetime) -> str:
    """The address of a session; it carries the time, so that it is found in few partitions."""
    url = reverse("session", kwargs={"project": project.slug})
    return f"{url}?{urlencode({'id': session_id, 'at': at.isoformat()})}"


@register.simple_tag
def user_url(project: Any, user_id: str) -> str:
    """The address of a user."""
    return f"{reverse('user', kwargs={'project': project.slug})}?{urlencode({'id': user_id})}"


@register.filter
def plain(value: float) -> str:
    """A number for an SVG attribute, whatever the language of the page."""
    return f"{value:g}"


@register.filter
def dollars(value: float) -> str:
    """Dollars that are an estimate or a rounded sum, not an exact amount."""
    return money.display(Decimal(str(value)))


UNITS = ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


@register.filter
def axis_ms(value: int) -> str:
    """A round time on an axis: `0 s`, `500 ms`, `1.5 s`, `20 min`."""
    size, unit = next((each for each in UNITS if value >= each[0]), (1, "s"))
    return f"{round(value / size, 1):g}{SPACE}{unit}"


ROLES = {
    "system": gettext_lazy("System"),
    "developer": gettext_lazy("Developer"),
    "user": gettext_lazy("User"),
    "assistant": gettext_lazy("Assistant"),
    "tool": gettext_lazy("Tool"),
}


@register.simple_tag
def role_name(role: str) -> str:
    """Who speaks."""
    return str(ROLES.get(role, role))
