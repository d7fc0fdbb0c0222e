"""Settings: the health of the intake, where everything that was sent can be found again."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.periods import read_period
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.selectors import list_keys
from apps.telemetry import intake_words as words
from apps.telemetry.figures import Dimension
from apps.telemetry.selectors import intake as selectors
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.unpriced import unpriced_models


@project_page()
def settings_intake(request: ProjectRequest, project: Project) -> HttpResponse:
    """Is anything lost? What was sent, what became of it, and why some of it was refused."""
    now = clock.now()
    period = read_period(request.GET.dict(), now=now, default="24h")
    times = words.buckets_of(period)
    account = selectors.read_account(project.pk, start=period.start, end=period.end, buckets=times)
    reasons = selectors.read_reasons(project.pk, start=period.start, end=period.end)
    recent = selectors.read_recent(project.pk, now=now)
    priced = read_figures(
        project.pk,
        start=period.start,
        end=period.end,
        group_by=(Dimension.PROVIDER, Dimension.MODEL),
        interval=words.interval_of(period),
        has_lengths=False,
    )
    keys = {key.pk: key for key in list_keys(project)}
    context = {
        "project": project,
        "now": now,
        "account": account,
        "answer": words.answer(account),
        "sums": words.sums(account.total),
        "chart": words.chart(account, times),
        "reasons": [(reason, words.mend(reason.code)) for reason in reasons],
        "refusals": [(each, _name(keys, each.key_id), words.mend(each.code)) for each in account.refusals],
        "by_key": _by_key(keys, account),
        "by_client": words.families(account.by_client.items()),
        "recent": recent,
        "flags": words.flags(recent.flags),
        "unpriced": unpriced_models(priced),
        "prices_url": reverse("settings_prices", kwargs={"project": project.slug}),
        "hours": selectors.LOOK_BACK.total_seconds() / 3600,
        "most_spans": selectors.MOST_SPANS,
    }
    return render(request, "telemetry/intake.html", context)


def _by_key(keys: dict[int, Any], account: selectors.Account) -> list[tuple[str, selectors.Counts, Any]]:
    """What each key sent, those that sent most first; keys that sent nothing last, with when they were last used."""
    sent = [(_name(keys, pk), counts, counts.last_at) for pk, counts in account.by_key.items()]
    idle = [
        (key.name, selectors.Counts(), key.last_used_at)
        for pk, key in keys.items()
        if pk not in account.by_key and key.revoked_at is None
    ]
    return [*sorted(sent, key=lambda line: -line[1].received), *idle]


def _name(keys: dict[int, Any], pk: int | None) -> str:
    if pk is None:
        return _("the product itself")
    return keys[pk].name if pk in keys else _("a deleted key")


@project_page()
def intake_sample(request: ProjectRequest, project: Project, sample: int) -> HttpResponse:
    """The beginning of a rejected item as a text file."""
    found = selectors.get_sample(project.pk, sample)
    response = HttpResponse(found.sample, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rejected-{found.pk}.txt"'
    return response
