"""Small drawings: icons, states, boxes, meters. Markup is written here, once; a state is never color alone.

Length and position stand in SVG attributes, since the content policy forbids style attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_lazy


class Look(NamedTuple):
    """How a state looks: its class, its icon, its usual word."""

    css: str
    icon: str
    word: Any


STATES = {
    "pass": Look("pass", "check", gettext_lazy("Pass")),
    "ok": Look("pass", "check", gettext_lazy("OK")),
    "fail": Look("fail", "x", gettext_lazy("Fail")),
    "error": Look("fail", "x", gettext_lazy("Error")),
    "stale": Look("stale", "clock", gettext_lazy("Stale")),
    "waiting": Look("run", "clock", gettext_lazy("Waiting")),
    "waived": Look("waived", "slash", gettext_lazy("Waived")),
    "warn": Look("warn", "warn", gettext_lazy("Warning")),
    "run": Look("run", "spin", gettext_lazy("Running")),
    "off": Look("off", "slash", gettext_lazy("Off")),
    "unset": Look("off", "slash", gettext_lazy("Not said")),
    "info": Look("off", "info", gettext_lazy("Note")),
}
BOX_WORDS = {
    "pass": gettext_lazy("ticked"),
    "fail": gettext_lazy("failing"),
    "stale": gettext_lazy("stale"),
    "waived": gettext_lazy("waived"),
    "open": gettext_lazy("not measured"),
}


@cache
def _sprite() -> str:
    return static("img/icons.svg")


def _use(name: str) -> str:
    return f"{_sprite()}#{name}"


def icon(name: str, size: str = "") -> SafeString:
    """A drawing from the sprite, hidden from screen readers: the word beside it speaks."""
    css = f"i i--{size}" if size else "i"
    if name == "spin":
        css += " i--spin"
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"/></svg>', css, _use(name))


def mark() -> SafeString:
    """The product's mark."""
    return format_html('<svg aria-hidden="true"><use href="{}"/></svg>', _use("mark"))


def status(state: str, word: str = "") -> SafeString:
    """Icon, word and color of a state. Raises KeyError for a state that is not in STATES."""
    look = STATES[state]
    return format_html('<span class="status is-{}">{}{}</span>', look.css, icon(look.icon), word or look.word)


def badge(word: Any = "", state: str = "", env: bool = False) -> SafeString:
    """A word on its own ground; with a state it gets the state's icon and color."""
    if not state:
        return format_html('<span class="badge{}">{}</span>', " badge--env" if env else "", word)
    look = STATES[state]
    return format_html('<span class="badge is-{}">{}{}</span>', look.css, icon(look.icon, "sm"), word or look.word)


def box(state: str, size: str = "sm", word: str = "") -> SafeString:
    """One box. `size` is `sm` or `xl`; `word` is read out, without it the box is not read out."""
    label = format_html('role="img" aria-label="{}"', word) if word else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="box box--{} is-{}" {}><use href="{}"/></svg>', size, state, label, _use(f"box-{state}")
    )


def boxes(states: Sequence[str], large: bool = False) -> SafeString:
    """The twelve boxes in their fixed order, grouped 5 4 3. States are those of BOX_WORDS."""
    groups = [states[:5], states[5:9], states[9:]]
    ticked = sum(state == "pass" for state in states)
    rest = [f"{states.count(state)} {word}" for state, word in BOX_WORDS.items() if state != "pass" and state in states]
    label = gettext("%(ticked)s of %(all)s boxes ticked") % {"ticked": ticked, "all": len(states)}
    drawn = format_html_join(
        "",
        '<span class="boxes__group">{}</span>',
        ((format_html_join("", "{}", ((_box(state),) for state in group)),) for group in groups if group),
    )
    return format_html(
        '<span class="boxes{}" role="img" aria-label="{}">{}</span>',
        " boxes--lg" if large else "",
        ": ".join([label, ", ".join(rest)]) if rest else label,
        drawn,
    )


def _box(state: str) -> SafeString:
    return format_html('<svg class="box is-{}" aria-hidden="true"><use href="{}"/></svg>', state, _use(f"box-{state}"))


def share_of(value: Any) -> float:
    """A ratio as a percentage within its picture."""
    return round(min(1.0, max(0.0, float(value))) * 100, 2)


def sparkline(values: Sequence[float | Decimal | None], target: float | Decimal | None = None) -> SafeString:
    """A line without axes, 28 px high; unknown values are gaps, the target is dotted."""
    known = [float(value) for value in values if value is not None]
    if len(values) < 2 or not known:
        return mark_safe('<svg class="spark" aria-hidden="true"></svg>')
    scale = known if target is None else [*known, float(target)]
    low, high = min(scale), max(scale)

    def height(value: float | Decimal) -> float:
        return round(26 - (float(value) - low) / (high - low) * 24, 1) if high > low else 14.0

    path, pen = [], "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x = round(index * 100 / (len(values) - 1), 1)
        alone = pen == "M" and (index + 1 == len(values) or values[index + 1] is None)
        path.append(f"{pen}{x} {height(value)}" + ("h0.1" if alone else ""))
        pen = "L"
    aim = ""
    if target is not None:
        aim = format_html('<line class="aim" x1="0" x2="100" y1="{0}" y2="{0}"/>', height(target))
    return format_html(
        '<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">{}<path d="{}"/></svg>',
        aim,
        "".join(path),
    )


def meter(share: float | Decimal, label: str, state: str = "", ahead: float | Decimal | None = None) -> SafeString:
    """A bar filled by a ratio; `ahead` is a pale continuation, such as a forecast."""
    pale = "" if ahead is None else format_html('<rect class="ahead" width="{}%" height="8" rx="2"/>', share_of(ahead))
    return format_html(
        '<svg class="meter" role="img" aria-label="{}"><rect class="track" width="100%" height="8" rx="2"/>'
        '{}<rect class="fill{}" width="{}%" height="8" rx="2"/></svg>',
        label,
        pale,
        f" is-{state}" if state else "",
        share_of(share),
    )


def bullet(value: float | Decimal, target: float | Decimal, state: str, label: str) -> SafeString:
    """A value as a bar and its target as a tick, both ratios of the scale's end."""
    return format_html(
        '<svg class="meter bullet" role="img" aria-label="{}">'
        '<rect class="track" y="1" width="100%" height="8" rx="2"/>'
        '<rect class="fill is-{}" y="1" width="{}%" height="8" rx="2"/>'
        '<line class="aim" x1="{}%" x2="{}%" y1="-1" y2="11"/></svg>',
        label,
        state,
        share_of(value),
        share_of(target),
        share_of(target),
    )
