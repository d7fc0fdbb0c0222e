"""The component sheet: what it shows, as values."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.core import clock
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
    notify = forms.BooleanField(
        label="Tell the owners by mail", required=False, help_text="At most once an hour."
    )


class SignInForm(forms.Form):
    """E-mail and password."""

    email = forms.EmailField(label="E-mail")
    password = forms.CharField(label="Password", widget=forms.PasswordInput)


CURL = """curl https://prodworthy.example.com/api/v1/telemetry \\
  -H "Authorization: Bearer pw_live_7Qd3…rX0a" \\
  -H "Content-Type: application/json" \\
  -d '{"feature": "support-answers", "model": "atlas-large-2",
       "input_tokens": 812, "output_tokens": 96}'"""


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
        "moment": now - timedelta(hours=2),
    }
    return render(request, "sheet.html", context)


def signin(request: HttpRequest) -> HttpResponse:
    """The card."""
    return render(request, "signin.html", {"form": SignInForm({"email": "ana"})})


def palette(request: HttpRequest) -> HttpResponse:
    """Two things found."""
    return render(request, "_palette.html", {})
