"""The component sheet: what it shows, as values."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.core import charts, clock
from apps.core.shell import ProjectLink, Shell

HARBOR = ProjectLink(name="Harbor Desk", slug="harbor-desk", url="/p/harbor-desk/")
SAMPLE = ProjectLink(name="Sample project", slug="sample", url="/p/sample/", is_sample=True)
SHELL = Shell(
    person_name="Ana Duarte",
    person_initials="AD",
    person_email="ana.duarte@example.com",
    project=HARBOR,
    projects=(HARBOR, SAMPLE),
    environments=("production", "staging", "development"),
    environment="production",
    counts={"promotions": 1, "alerts": 1, "reviews": 1},
)
NINE = ["pass", "stale", "pass", "fail", "waived", *["pass"] * 7]
TWELVE = ["pass"] * 12


class TargetsForm(forms.Form):
    """A form with one field that is wrong."""

    budget = forms.IntegerField(label="Monthly budget", help_text="Alerts go out at 50, 80 and 100 %.")
    p99 = forms.IntegerField(
        label="P99 target",
        error_messages={"invalid": "Write a whole number of milliseconds, such as 6000."},
        widget=forms.TextInput,
    )
    environment = forms.ChoiceField(
        label="Applies to",
        choices=[("production", "production"), ("staging", "staging")],
        widget=forms.RadioSelect,
    )
    window = forms.ChoiceField(label="Window", choices=[("d", "a day"), ("m", "a month")], required=False)
    notify = forms.BooleanField(label="Tell the owners by mail", required=False, help_text="At most once an hour.")


class SignInForm(forms.Form):
    """E-mail and password."""

    email = forms.EmailField(label="E-mail")
    password = forms.CharField(label="Password", widget=forms.PasswordInput)


CURL = """curl https://prodworthy.example.com/api/v1/telemetry \\
  -H "Authorization: Bearer pw_live_7Qd3…rX0a" \\
  -H "Content-Type: application/json" \\
  -d '{"feature": "support-answers", "model": "atlas-large-2",
       "input_tokens": 812, "output_tokens": 96}'"""


START = datetime(2026, 11, 22, 15, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(24)]
FEATURES = ["support-answers", "meeting-notes", "invoice-extract", "search-rerank", "<b>reply</b> & drafts"]


def _wave(base: float, swing: float, seed: int) -> list[float]:
    return [round(base + swing * math.sin(hour / 3 + seed) + swing * math.cos(hour * seed), 3) for hour in range(24)]


def latency_chart() -> charts.Chart:
    """Three percentiles against their target, with a gap and a lone point."""
    p50: list[charts.Value] = [*_wave(1180, 90, 1)]
    p50[5:9] = [None, 1150, None, None]
    return charts.lines(
        id="latency",
        title="Are we inside the latency target?",
        subtitle="Seconds, by hour, 24 h",
        times=HOURS,
        series=[
            charts.Series("P99", _wave(5200, 300, 3), 1),
            charts.Series("P95", _wave(3300, 120, 2), 2),
            charts.Series("P50", p50, 3),
        ],
        unit=charts.MS,
        targets=[charts.Target(6000, "P99 target 6 s")],
        end_labels=True,
    )


def spend_chart() -> charts.Chart:
    """Spend by feature against the budget of an hour."""
    slots = charts.slots(FEATURES, FEATURES)
    return charts.stacked_bars(
        id="spend",
        title="Where does the money go?",
        subtitle="Spend, $ by hour",
        times=HOURS,
        series=[
            charts.Series(name, [abs(v) for v in _wave(4 / (i + 1), 1.2 / (i + 1), i + 1)], slots[name])
            for i, name in enumerate(FEATURES)
        ],
        unit=charts.USD,
        targets=[charts.Target(10, "$10.00 per hour = daily budget")],
    )


def quality_chart() -> charts.Chart:
    """Four features near each other, and a release."""
    slots = charts.slots(FEATURES, FEATURES)
    falling = [0.914 + v for v in _wave(0, 0.004, 2)]
    falling[17:] = [0.9, 0.883, 0.87, 0.865, 0.862, 0.864, 0.862]
    return charts.lines(
        id="quality",
        title="Is quality holding?",
        subtitle="Task completed, % by hour",
        times=HOURS,
        series=[
            charts.Series("support-answers", falling, slots["support-answers"]),
            charts.Series("meeting-notes", _wave(0.91, 0.006, 3), slots["meeting-notes"]),
            charts.Series("invoice-extract", _wave(0.957, 0.004, 4), slots["invoice-extract"]),
            charts.Series("search-rerank", _wave(0.93, 0.004, 5), slots["search-rerank"]),
        ],
        unit=charts.PERCENT,
        targets=[charts.Target(0.9, "target 90 %")],
        events=[charts.Event(datetime(2026, 11, 23, 8, 12, tzinfo=UTC), "3.4.1 live, 08:12")],
        from_zero=False,
    )


def empty_chart() -> charts.Chart:
    """Nothing measured."""
    return charts.lines(
        id="ttft",
        title="How long is the wait for the first token?",
        times=HOURS,
        series=[charts.Series("P50", [None] * 24, 3)],
        unit=charts.MS,
    )


def page(request: HttpRequest) -> HttpResponse:
    """The sheet."""
    request.shell = SHELL  # type: ignore[attr-defined]
    form = TargetsForm({"budget": "6000", "p99": "six seconds", "environment": "production"})
    now = clock.now()
    if request.GET.get("toast"):
        messages.success(request, "Version 3.5.0 saved. Not live anywhere yet.")
        messages.error(request, "Run 487 stopped: the provider refused the key (401).")
    context = {
        "form": form,
        "nine": NINE,
        "twelve": TWELVE,
        "falling": [91.4, 91.9, 91.1, 92.0, 91.6, 91.8, 91.2, 88.3, 86.9, 86.2, 86.5, 86.2],
        "gaps": [1.2, 1.3, None, 1.1, 1.5, None, None, 1.4, 1.9, 1.2],
        "code": CURL,
        "key": "pw_live_7Qd3Zk2LmX9cVbN1qWrT_rX0a",
        "charts": [latency_chart(), spend_chart(), quality_chart(), empty_chart()] if "charts" in request.GET else [],
        "moment": now - timedelta(hours=2),
    }
    return render(request, "sheet.html", context)


def signin(request: HttpRequest) -> HttpResponse:
    """The card."""
    return render(request, "signin.html", {"form": SignInForm({"email": "ana"})})


def palette(request: HttpRequest) -> HttpResponse:
    """Two things found."""
    return render(request, "_palette.html", {})
