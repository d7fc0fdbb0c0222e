"""Icons, numbers, times, controls and charts as every page shows them; the words are from `formats`."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any, NamedTuple

from django import template
from django.forms import BoundField, CheckboxInput, Form, RadioSelect
from django.http import HttpRequest, QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.core import clock, drawings, formats, money, navigation, periods
from apps.core.charts import Chart
from apps.core.shell import ALL_ENVIRONMENTS, Shell

DROPPED_ON_CHANGE = ("page", "cursor")
"""What belongs to the old list, and goes when a filter or the range changes."""

register = template.Library()

register.filter("money", money.display)
register.filter("ms", formats.milliseconds)
register.filter("tokens", formats.tokens)
register.filter("compact", formats.compact)
register.filter("number", formats.number)
register.filter("percent", formats.percent)
register.filter("exact", formats.exact)
register.filter("clock_time", formats.clock_time)

register.simple_tag(drawings.icon)
register.simple_tag(drawings.mark)
register.simple_tag(drawings.status)
register.simple_tag(drawings.badge)
register.simple_tag(drawings.box)
register.simple_tag(drawings.boxes)
register.simple_tag(drawings.sparkline)
register.simple_tag(drawings.meter)
register.simple_tag(drawings.bullet)


# --- Numbers and times --------------------------------------------------------------------------------------


@register.simple_tag
def delta(now: Any, before: Any, unit: formats.Unit = "relative", good: formats.Good = "none") -> SafeString:
    """The change against the period before, colored only when it matters and has a good direction."""
    text, verdict = formats.change(now, before, unit=unit, good=good)
    css = f"delta is-{verdict}" if verdict in {"good", "bad"} else "delta"
    if verdict == "unknown":
        return format_html('<span class="{}" title="{}">{}</span>', css, gettext("nothing to compare with"), text)
    return format_html('<span class="{}">{}</span>', css, text)


@register.simple_tag
def ago(moment: datetime | None, suffix: bool = False) -> SafeString | str:
    """A moment as its age, the exact time on hover; with `suffix` as a phrase (`2 min ago`)."""
    if moment is None:
        return formats.UNKNOWN
    text = formats.age(moment, clock.now())
    if suffix and text[0].isdigit() and formats.SPACE in text:
        text = gettext("%(age)s ago") % {"age": text}
    return _time(moment, text)


@register.simple_tag
def when(moment: datetime | None, seconds: bool = True) -> SafeString | str:
    """A moment as its time of day, with the day unless it is today; the exact time on hover."""
    if moment is None:
        return formats.UNKNOWN
    now = clock.now()
    text = formats.clock_time(moment) if seconds else formats.clock_time(moment)[:5]
    if clock.floor_day(moment) != clock.floor_day(now):
        text = f"{formats.day(moment, now)}, {text}"
    return _time(moment, text)


def _time(moment: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), formats.exact(moment), text)


@register.inclusion_tag("components/budget.html")
def budget(share: float | Decimal, ahead: float | Decimal | None = None) -> dict[str, Any]:
    """Spent as a ratio of the budget, with gaps at 50 and 80 %; amber from 80 %, red past 100 %."""
    state = "fail" if share > 1 else "warn" if share >= Decimal("0.8") else ""
    return {
        "share": drawings.share_of(share),
        "ahead": None if ahead is None else drawings.share_of(ahead),
        "state": state,
        "label": gettext("%(share)s of the budget spent") % {"share": formats.percent(share)},
    }


@register.inclusion_tag("components/chart.html")
def chart(drawing: Chart) -> dict[str, Any]:
    """A chart in its frame, with legend, table and a box that has its height before the figure comes."""
    return {"chart": drawing}


@register.simple_tag
def chart_rows(drawing: Chart) -> SafeString:
    """The rows of a chart's table, written at once: a template takes many times as long for a thousand cells."""
    lines = []
    for row in drawing.rows:
        cells = "".join([f'<td class="num">{escape(cell)}</td>' for cell in row.cells])
        lines.append(f'<tr><th scope="row" class="nw">{escape(row.head)}</th>{cells}</tr>')
    return SafeString("\n".join(lines))


@register.inclusion_tag("components/chart_scripts.html")
def chart_scripts() -> dict[str, Any]:
    """What a page with charts loads, in its `scripts` block."""
    return {}


# --- Addresses ----------------------------------------------------------------------------------------------


def _parameters(context: template.Context) -> QueryDict:
    request: HttpRequest | None = context.get("request")
    return QueryDict(mutable=True) if request is None else request.GET.copy()


def changed_query(parameters: QueryDict, changes: dict[str, Any]) -> str:
    """The parameters with some changed, as `?…`; None or an empty value takes a parameter out.

    A page number or cursor belongs to the old list and is dropped unless it is what changes.
    """
    result = parameters.copy()
    for name in DROPPED_ON_CHANGE:
        result.pop(name, None)
    for name, value in changes.items():
        if value is None or value == "":
            result.pop(name, None)
        else:
            result[name] = str(value)
    return f"?{result.urlencode()}"


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """This page's address with some parameters changed and all others kept: `{% query range="7d" %}`."""
    return changed_query(_parameters(context), changes)


@register.simple_tag(takes_context=True)
def kept_query(context: template.Context) -> str:
    """The range and environment as `?…`, for links to other pages; empty when the address holds neither."""
    parameters = _parameters(context)
    kept = QueryDict(mutable=True)
    for name in navigation.KEPT_PARAMETERS:
        if parameters.get(name):
            kept[name] = str(parameters[name])
    return f"?{kept.urlencode()}" if kept else ""


@register.simple_tag(takes_context=True)
def other_parameters(context: template.Context, *names: str) -> list[tuple[str, str]]:
    """The address's parameters except the named ones and the page, for a GET form's hidden fields."""
    skipped = {*names, *DROPPED_ON_CHANGE}
    return [(name, value) for name, values in _parameters(context).lists() for value in values if name not in skipped]


# --- Shell --------------------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def shell(context: template.Context) -> Shell | None:
    """The request's shell, or None on a page that has none."""
    found = getattr(context.get("request"), "shell", None)
    return found if isinstance(found, Shell) else None


@register.simple_tag(takes_context=True)
def rail(context: template.Context) -> list[navigation.RailGroup]:
    """The groups of the left rail for the request's project; none without a project."""
    current = shell(context)
    if current is None or current.project is None:
        return []
    path = context["request"].path
    return navigation.rail(current.project.slug, path=path, query=kept_query(context), counts=current.counts)


@register.inclusion_tag("components/bell.html", takes_context=True)
def bell(context: template.Context) -> dict[str, Any]:
    """The way to the project's notices with how many are unread; nothing without a project or such a page."""
    current = shell(context)
    if current is None or current.project is None:
        return {}
    return {
        "url": navigation.address("notices", current.project.slug),
        "unread": current.counts.get("notices", 0),
    }


@register.simple_tag
def crumb(label: Any, url: str = "") -> SafeString:
    """A step of the breadcrumb; without an address it is the page itself."""
    if url:
        step = format_html('<a href="{}">{}</a>', url, label)
    else:
        step = format_html('<span aria-current="page">{}</span>', label)
    return format_html('<span class="crumb"><span aria-hidden="true">/</span>{}</span>', step)


class Choice(NamedTuple):
    """One link of a choice that is kept in the address."""

    label: str
    url: str
    is_current: bool


@register.inclusion_tag("components/range.html", takes_context=True)
def range_picker(context: template.Context, default: str = periods.DEFAULT_RANGE) -> dict[str, Any]:
    """The time range: five usual ones as links, and a form for any other."""
    now = clock.now()
    parameters = _parameters(context)
    chosen = periods.read_period({name: str(value) for name, value in parameters.items()}, now=now, default=default)
    choices = [
        Choice(key, changed_query(parameters, {"range": key, "from": None, "to": None}), key == chosen.key)
        for key in periods.RANGES
    ]
    is_custom = chosen.key == periods.CUSTOM
    return {
        "choices": choices,
        "is_custom": is_custom,
        "label": formats.span(chosen.start, chosen.end, now) if is_custom else "",
        "start": f"{chosen.start:%Y-%m-%dT%H:%M}",
        "end": f"{chosen.end:%Y-%m-%dT%H:%M}",
        "others": other_parameters(context, "range", "from", "to"),
    }


@register.inclusion_tag("components/environment.html", takes_context=True)
def environment_picker(context: template.Context) -> dict[str, Any]:
    """The environment switcher; nothing on a page without a project."""
    current = shell(context)
    if current is None or not current.environments:
        return {"choices": []}
    parameters = _parameters(context)
    named = parameters.get("env", "")
    known = {*current.environments, ALL_ENVIRONMENTS}
    chosen = named if named in known else current.environment
    labels = [
        (ALL_ENVIRONMENTS, gettext("all environments")),
        *((slug, slug) for slug in current.environments),
    ]
    choices = [Choice(label, changed_query(parameters, {"env": slug}), slug == chosen) for slug, label in labels]
    return {"choices": choices, "chosen": dict(labels).get(chosen, chosen)}


# --- Forms and code -----------------------------------------------------------------------------------------


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, suffix: str = "", help: str = "", placeholder: str = "", css: str = "") -> dict[str, Any]:
    """One form field: label above, help below, the error beside it."""
    widget = bound.field.widget
    kind = "choice" if isinstance(widget, CheckboxInput) else "choices" if isinstance(widget, RadioSelect) else "input"
    text = help or bound.help_text
    described = [f"{bound.auto_id}_{part}" for part, shown in (("help", text), ("error", bound.errors)) if shown]
    attrs: dict[str, Any] = {}
    if kind == "input":
        attrs["class"] = f"input {css}".strip()
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if bound.errors:
        attrs["aria-invalid"] = "true"
    if placeholder:
        attrs["placeholder"] = placeholder
    return {
        "bound": bound,
        "kind": kind,
        "control": bound.as_widget(attrs=attrs) if kind != "choices" else "",
        "described": " ".join(described),
        "help": text,
        "suffix": suffix,
    }


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: Form) -> dict[str, Any]:
    """The box above a form that was refused: how many fields need a change, and what belongs to no field."""
    return {
        "is_refused": form.is_bound and bool(form.errors),
        "general": form.non_field_errors(),
        "fields": sum(name != "__all__" for name in form.errors),
    }


QUOTED = re.compile(r"'[^']*'|\"[^\"\n]*\"|(?m:^[ \t]*#.*$)")


def _highlighted(code: str) -> SafeString:
    """Strings and comment lines marked; everything escaped."""
    parts: list[tuple[str, str]] = []
    end = 0
    for match in QUOTED.finditer(code):
        css = "c" if match[0].lstrip().startswith("#") else "q"
        parts.append((code[end : match.start()], format_html('<span class="{}">{}</span>', css, match[0])))
        end = match.end()
    return format_html("{}{}", format_html_join("", "{}{}", parts), code[end:])


@register.inclusion_tag("components/code.html")
def copy_block(code: str, line: bool = False, primary: bool = False) -> dict[str, Any]:
    """Code with a button that copies it; `line` is for one line, such as a key."""
    return {"code": _highlighted(code), "line": line, "primary": primary}
