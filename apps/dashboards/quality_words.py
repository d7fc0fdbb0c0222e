"""The Quality page in words and charts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import charts, formats
from apps.core.periods import Period
from apps.dashboards import sentences, words
from apps.dashboards.quality import Figures, Name, Quality
from apps.telemetry.figures import Interval
from apps.telemetry.scoring import TASK_COMPLETION, THUMBS
from apps.telemetry.selectors.scores import Bar

MOST_STACKED = 8


def plain(value: float | int | None) -> str:
    """A number with at most two digits after the point: `4.2`, `0.25`, `812`."""
    if value is None:
        return formats.UNKNOWN
    text = formats.plain(value, 2)
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(value: float | None, *, is_share: bool) -> str:
    """A mean as the page writes it."""
    return formats.percent(value) if is_share else plain(value)


PLAIN = charts.Unit(plain, ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k"), (0, 1, "")))


def answer(page: Quality, period: Period) -> str:
    """Is it any good? One sentence about the chosen score."""
    chosen = page.chosen
    if chosen is None:
        return _("No scores in %(last)s.") % {"last": sentences.last(period)}
    names = {
        "name": chosen.name,
        "mean": written(chosen.now.mean, is_share=chosen.is_share),
        "count": formats.number(chosen.now.count),
        "last": sentences.last(period),
    }
    if chosen.now.mean is None:
        return _("%(count)s judgements of %(name)s in %(last)s, without a number.") % names
    if chosen.name == THUMBS:
        text = _("%(mean)s of thumbs are up in %(last)s")
    elif chosen.name == TASK_COMPLETION:
        text = _("%(mean)s of tasks are done in %(last)s")
    else:
        text = _("%(name)s is %(mean)s on average in %(last)s")
    return _compared(text % names, chosen, period)


def _compared(text: str, chosen: Name, period: Period) -> str:
    """The sentence with what changed, as far as there is something to compare with."""
    if chosen.before.mean is None or chosen.now.mean is None:
        return f"{text}."
    step = chosen.now.mean - chosen.before.mean
    if abs(step) < 0.0005 * max(abs(chosen.before.mean), 1):
        return _("%(text)s, as in %(before)s.") % {"text": text, "before": sentences.before(period)}
    change = formats.change(abs(step), 0, unit="points").text if chosen.is_share else plain(abs(step))
    names = {"text": text, "change": change.lstrip("+"), "before": sentences.before(period)}
    if step > 0:
        return _("%(text)s, %(change)s more than in %(before)s.") % names
    return _("%(text)s, %(change)s less than in %(before)s.") % names


def coverage(page: Quality) -> str:
    """Which part of the traces was judged at all."""
    found = page.coverage
    if not found.traces:
        return _("No traces in this time.")
    names = {
        "share": formats.percent(found.share, 1),
        "scored": formats.number(found.scored),
        "traces": formats.number(found.traces),
    }
    if found.is_cut:
        return _("%(share)s of the newest %(traces)s traces have a score.") % names
    return (
        ngettext(
            "%(scored)s of %(traces)s trace has a score.", "%(scored)s of %(traces)s traces have a score.", found.traces
        )
        % names
    )


def mean_chart(times: Sequence[datetime], name: Name, interval: Interval) -> charts.Chart:
    """The mean of one score over time."""
    return charts.lines(
        id="chart-score",
        title=_("Is it getting better?"),
        subtitle=_("%(name)s, mean %(by)s") % {"name": name.name, "by": words.by_interval(interval)},
        times=times,
        series=[charts.Series(name.name, name.means)],
        unit=charts.PERCENT if name.is_share else PLAIN,
        from_zero=name.now.lowest is not None and name.now.lowest >= 0,
        is_tall=True,
    )


def count_chart(times: Sequence[datetime], names: Sequence[Name], interval: Interval) -> charts.Chart:
    """How many scores of each name arrive."""
    slots = charts.slots([each.name for each in names], [each.name for each in names])
    series = [charts.Series(each.name, each.counts, slots[each.name]) for each in names]
    return charts.stacked_bars(
        id="chart-scores",
        title=_("How much do we hear?"),
        subtitle=_("Scores %(by)s") % {"by": words.by_interval(interval)},
        times=times,
        series=charts.with_other(series, most=MOST_STACKED, name=_("other")),
        unit=charts.COUNT,
    )


def bar_name(bar: Bar, name: str) -> str:
    """What a bar of the distribution stands for."""
    if bar.low is None:
        return bar.label or _("comment alone")
    if name == THUMBS:
        return _("up") if bar.low else _("down")
    if bar.low == bar.high:
        return plain(bar.low)
    return f"{plain(bar.low)} – {plain(bar.high)}"


def mean_of(figures: Figures, name: Name) -> str:
    """A mean of the chosen score, in a row of a table."""
    return written(figures.mean, is_share=name.is_share)
