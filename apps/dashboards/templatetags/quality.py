"""Tags of the Quality page."""

from __future__ import annotations

from django import template

from apps.dashboards import quality_words
from apps.dashboards.quality import Name
from apps.telemetry.selectors.scores import Bar

register = template.Library()

register.filter("plain_score", quality_words.plain)
register.filter("mean_of", quality_words.mean_of)


@register.filter
def bar_name(bar: Bar, name: Name) -> str:
    """What a bar of the distribution stands for."""
    return quality_words.bar_name(bar, name.name)


@register.filter
def share_of(bar: Bar, name: Name) -> float:
    """The part of the scores that the bar stands for."""
    return bar.count / name.now.count if name.now.count else 0.0
