"""Pages: Overview (and what stands there before the first call), Costs, Latency, Retrieval, Agents, and what the
palette finds."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.budgets.latency_goals import Measure
from apps.budgets.latency_pictures import target_lines
from apps.budgets.selectors import latency as latency_targets
from apps.core import clock, exports
from apps.core.clock import zone_named
from apps.core.http import page_or_fragment, wants_fragment
from apps.core.periods import CUSTOM
from apps.dashboards import (
    agents,
    costs,
    fact_pictures,
    fact_sentences,
    fact_snippets,
    latency,
    markers,
    overview,
    pictures,
    quality,
    quality_words,
    retrieval,
    score_snippets,
    selectors,
    sentences,
    snippets,
    sorting,
    words,
)
from apps.dashboards.scope import Scope, read_scope
from apps.projects import shown_once
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry.addresses import choice
from apps.telemetry.figures import Dimension

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
INTAKE_LOOK_BACK = timedelta(hours=24)


# --- Overview -----------------------------------------------------------------------------------------------


@project_page()
def overview_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Is anything wrong now? Before the first call: how to send it."""
    now = clock.now()
    if not selectors.has_calls(project):
        if project.is_sample:
            return render(request, "dashboards/sample_loading.html", {"project": project})
        return render(request, "dashboards/first_run.html", _first_run(request, project, now))
    context = _overview(request, project, now)
    return page_or_fragment(request, "dashboards/overview.html", "dashboards/_overview.html", context)


def _overview(request: ProjectRequest, project: Project, now: datetime) -> dict[str, Any]:
    scope = read_scope(request.GET.dict(), now=now)
    zone = zone_named(project.timezone)
    tables = selectors.read_overview(project.pk, scope, zone=zone, now=now)
    page = overview.build(tables)
    features = selectors.feature_names(project)
    drawn = {
        "spend": pictures.spend(tables.now, known=pictures.order(Dimension.FEATURE, features)),
        "latency": pictures.latency(page.times, page.series, scope.interval),
        "calls": pictures.calls(page.times, page.series, scope.interval),
        "first_token": pictures.first_token(page.times, page.series, scope.interval),
    }
    return {
        **_shared(project, scope, now, features, page.model_names),
        "page": page,
        "traces": selectors.latest_traces(project.pk, scope),
        "answer": sentences.answer(page.verdict, scope.period),
        "basis": sentences.basis(page.verdict),
        "month": date_format(now.astimezone(zone), "M"),
        "live_url": request.get_full_path() if _moves(scope, now) else "",
        "charts": markers.marked(drawn, markers.read_markers(project, scope), scope),
    }


def _shared(
    project: Project, scope: Scope, now: datetime, features: Sequence[str], models: Sequence[str]
) -> dict[str, Any]:
    """What every page of figures shows around them: filters, and the words for what it looks at."""
    return {
        "project": project,
        "scope": scope,
        "now": now,
        "where": words.where(scope),
        "last": sentences.last(scope.period),
        "before": sentences.before(scope.period),
        "compared_with": words.compared_with(scope.period),
        "filters": [
            choice(
                Dimension.FEATURE,
                label=_("Feature"),
                every=_("Every feature"),
                chosen=scope.feature,
                values=features,
            ),
            choice(Dimension.MODEL, label=_("Model"), every=_("Every model"), chosen=scope.model, values=models),
        ],
    }


def _moves(scope: Scope, now: datetime) -> bool:
    """True for a period that ends now, whose figures change by themselves."""
    return scope.period.key != CUSTOM or scope.period.end >= now


# --- Before the first call ----------------------------------------------------------------------------------


@project_page()
def first_call(request: ProjectRequest, project: Project) -> HttpResponse:
    """Asked every two seconds by the empty Overview: the waiting line, or the whole content once a call is there."""
    now = clock.now()
    if not wants_fragment(request):
        return redirect("overview", project=project.slug)
    if not selectors.has_calls(project):
        if project.is_sample:
            return HttpResponse(status=204)  # the note about the sample says how far it is
        return render(request, "dashboards/_waiting.html", _waiting(request, project, now))
    request.GET = QueryDict()  # the waiting line's own parameters are not the Overview's
    url = reverse("overview", kwargs={"project": project.slug})
    context = {**_overview(request, project, now), "live_url": url}
    # The empty page has nothing to choose from; with the first call, the bar gets its environments and time ranges.
    response = render(request, "dashboards/first_overview.html", context)
    response["HX-Retarget"], response["HX-Reswap"] = "#first-run", "outerHTML show:window:top"
    response["HX-Replace-Url"] = url
    return response


def _first_run(request: ProjectRequest, project: Project, now: datetime) -> dict[str, Any]:
    chosen = request.GET.get("tab", "")
    chosen = chosen if chosen in snippets.WAYS else next(iter(snippets.WAYS))
    key = shown_once.first_key(request.session, project=project, now=now)
    example = snippets.Example(
        address=_address(request),
        key=key or "YOUR_KEY",
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        now=now,
    )
    return {
        **_waiting(request, project, now),
        "has_key": key is not None,
        "snippet": snippets.WAYS[chosen](example),
        "tab": chosen,
        "address": example.address,
        "ghosts": [_("Spend today"), _("Spend this month"), _("Error rate"), _("Latency, P99"), _("Tokens in, out")],
        "sample_url": _url_if_any("sample_create"),
    }


def _waiting(request: ProjectRequest, project: Project, now: datetime) -> dict[str, Any]:
    """What the waiting line and the help below it say; the help is told what arrived and was refused."""
    since = _listening_since(request, now)
    return {
        "project": project,
        "now": now,
        "since": since,
        "waited": _waited(now - since),
        "intake": selectors.intake_of(project, since=now - INTAKE_LOOK_BACK),
        "key_url": _url_if_any("settings_keys", project=project.slug),
    }


def _waited(length: timedelta) -> str:
    """How long the page has been listening, from the first minute on."""
    minutes = length // timedelta(minutes=1)
    return _("%(minutes)d min") % {"minutes": minutes} if minutes else ""


def _listening_since(request: ProjectRequest, now: datetime) -> datetime:
    """When this page was opened: kept in its own address while it asks, and bounded, because anybody may write it."""
    try:
        since = datetime.fromtimestamp(int(request.GET.get("since", "")), tz=now.tzinfo)
    except (ValueError, OverflowError, OSError):
        return now
    return since if now - timedelta(days=1) < since <= now else now


def _address(request: ProjectRequest) -> str:
    """Where calls are sent: the configured address, or on one's own machine the one that the browser used."""
    if urlsplit(settings.PUBLIC_URL).hostname in LOCAL_HOSTS:
        return f"{request.scheme}://{request.get_host()}"
    return str(settings.PUBLIC_URL)


def _url_if_any(name: str, **kwargs: str) -> str:
    """The address of a page that may not exist; empty then."""
    try:
        return reverse(name, kwargs=kwargs)
    except NoReverseMatch:
        return ""


# --- Costs --------------------------------------------------------------------------------------------------


@project_page()
def costs_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Where does the money go?"""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    by = costs.read_by(request.GET.get("by"))
    page = costs.build(selectors.read_costs(project.pk, scope, by=by, zone=zone_named(project.timezone)))
    features = selectors.feature_names(project)
    sort = sorting.chosen(sorting.SPEND_SORTS, request.GET.get("sort"))
    drawn = pictures.spend(page.tables.now, known=pictures.order(by, features), is_tall=True)
    context = {
        **_shared(project, scope, now, features, costs.model_names(page.tables)),
        "page": page,
        "answer": sentences.costs(page, scope.period, by),
        "by": by,
        "by_label": words.heading(by),
        "choices": words.breakdowns(costs.BY, by),
        "sort": sort,
        "rows": sorting.ordered(page.rows, sorting.SPEND_SORTS, sort),
        "chart": markers.mark(drawn, markers.read_markers(project, scope), scope),
        "unpriced": [
            (each, words.seen(each.first_at, scope.interval, now), words.seen(each.last_at, scope.interval, now))
            for each in page.unpriced
        ],
    }
    return render(request, "dashboards/costs.html", context)


@project_page()
def costs_csv(request: ProjectRequest, project: Project) -> HttpResponse:
    """The table of Costs, every row of it, as CSV."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    by = costs.read_by(request.GET.get("by"))
    tables = selectors.read_costs(project.pk, scope, by=by, zone=zone_named(project.timezone))
    text = exports.csv_text([by, *costs.EXPORT_COLUMNS], costs.export_rows(tables))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    name = f"costs-by-{by}-{scope.period.start:%Y%m%d}-{scope.period.end:%Y%m%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# --- Latency ------------------------------------------------------------------------------------------------


@project_page()
def latency_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """How fast do we answer, and who is slow?"""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    by = latency.read_by(request.GET.get("by"))
    percentile = latency.read_percentile(request.GET.get("percentile"))
    page = latency.build(selectors.read_latency(project.pk, scope, by=by, zone=zone_named(project.timezone)))
    features = selectors.feature_names(project)
    sort = sorting.chosen(sorting.LATENCY_SORTS, request.GET.get("sort"))
    lines = latency.lines_by_group(page.tables.now, percentile)
    promised = latency_targets.find_target(project, scope.feature, scope.environment)
    drawn = {
        "latency": pictures.latency(
            page.times, page.series, scope.interval, targets=target_lines(promised, Measure.TOTAL)
        ),
        "first_token": pictures.first_token(
            page.times, page.series, scope.interval, targets=target_lines(promised, Measure.TTFT)
        ),
        "slow": pictures.slow_groups(page.tables.now, lines, percentile, known=pictures.order(by, features)),
    }
    context = {
        **_shared(project, scope, now, features, page.model_names),
        "page": page,
        "answer": sentences.latency(page, scope.period),
        "by": by,
        "other": latency.other_of(by),
        "by_label": words.heading(by),
        "other_label": words.heading(latency.other_of(by)),
        "promised": promised,
        "percentile": percentile,
        "percentiles": latency.PERCENTILES,
        "choices": words.breakdowns(latency.BY, by),
        "sort": sort,
        "rows": sorting.ordered(page.rows, sorting.LATENCY_SORTS, sort)[: latency.MOST_ROWS],
        "other_rows": sorting.ordered(page.other_rows, sorting.LATENCY_SORTS, sort)[: latency.MOST_ROWS],
        "charts": markers.marked(drawn, markers.read_markers(project, scope), scope),
    }
    return render(request, "dashboards/latency.html", context)


# --- Retrieval and agents -----------------------------------------------------------------------------------


@project_page()
def retrieval_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Does a search find what the answer needs? Before the first retrieval: what to send."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    read = selectors.read_retrieval(project.pk, scope)
    if not read.table.total["retrievals"] and not selectors.has_retrievals(project.pk):
        context = _first_facts(request, project, now, fact_snippets.retrieval)
        return page_or_fragment(request, "dashboards/retrieval.html", "dashboards/retrieval_empty.html", context)
    page = retrieval.build(read.table, read.worst, read.ages)
    drawn = fact_pictures.retrieval(page, read.table.scope.times, scope.interval)
    context = {
        **_shared_by_facts(project, scope, now),
        "page": page,
        "answer": fact_sentences.retrieval(page, scope.period),
        "method": fact_sentences.method_name(page.method),
        "charts": markers.marked(drawn, markers.read_markers(project, scope), scope),
        "worst": [(name, words.worst_retrievals(name), page.worst[name]) for name in page.worst],
    }
    return page_or_fragment(request, "dashboards/retrieval.html", "dashboards/_retrieval.html", context)


@project_page()
def agents_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Do agents get their tasks done, and which tools let them down? Before the first task: what to send."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    read = selectors.read_agents_page(project.pk, scope)
    if not (read.tables.tasks.total["tasks"] or read.tables.tools.total["runs"]) and not selectors.has_agents(
        project.pk
    ):
        context = _first_facts(request, project, now, fact_snippets.agent)
        return page_or_fragment(request, "dashboards/agents.html", "dashboards/agents_empty.html", context)
    page = agents.build(read.tables, read.worst)
    drawn = fact_pictures.agents(page, read.tables.tasks.scope.times, scope.interval)
    context = {
        **_shared_by_facts(project, scope, now),
        "page": page,
        "answer": fact_sentences.agents(page, scope.period),
        "charts": markers.marked(drawn, markers.read_markers(project, scope), scope),
        "worst": [(name, words.worst_tasks(name), page.worst[name]) for name in page.worst],
    }
    return page_or_fragment(request, "dashboards/agents.html", "dashboards/_agents.html", context)


def _shared_by_facts(project: Project, scope: Scope, now: datetime) -> dict[str, Any]:
    """What pages of facts show around them; facts are not told apart by model."""
    shared = _shared(project, scope, now, selectors.feature_names(project), [])
    return {**shared, "filters": shared["filters"][:1], "is_empty": False}


def _first_facts(
    request: ProjectRequest, project: Project, now: datetime, write: Callable[[snippets.Example], str]
) -> dict[str, Any]:
    """The page before anything arrived: the lines that send the first, with the project's key and address."""
    key = shown_once.first_key(request.session, project=project, now=now)
    example = snippets.Example(
        address=_address(request),
        key=key or "YOUR_KEY",
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        now=now,
    )
    return {
        "project": project,
        "now": now,
        "is_empty": True,
        "snippet": write(example),
        "has_key": key is not None,
        "key_url": _url_if_any("settings_keys", project=project.slug),
    }


# --- Quality ------------------------------------------------------------------------------------------------


@project_page()
def quality_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Is it any good? Before the first score: how to send one."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    is_highest = request.GET.get("worst") == "high"
    page = selectors.read_quality(
        project.pk,
        scope,
        wish=request.GET.get("score"),
        is_highest=is_highest,
        zone=zone_named(project.timezone),
    )
    if not page.names and not selectors.has_scores(project.pk):
        context = _first_score(request, project, now)
        return page_or_fragment(request, "dashboards/quality.html", "dashboards/_quality_empty.html", context)
    features = selectors.feature_names(project)
    models = sorted(row.value for row in page.rows.get(Dimension.MODEL, []) if row.value)
    context = {
        **_shared(project, scope, now, features, models),
        "is_empty": False,
        "page": page,
        "answer": quality_words.answer(page, scope.period),
        "coverage": quality_words.coverage(page),
        "is_highest": is_highest,
        "tables": [
            (dimension, words.heading(dimension), rows[: quality.MOST_ROWS]) for dimension, rows in page.rows.items()
        ],
        "count_chart": quality_words.count_chart(page.times, page.names, scope.interval),
        "mean_chart": quality_words.mean_chart(page.times, page.chosen, scope.interval) if page.chosen else None,
    }
    return page_or_fragment(request, "dashboards/quality.html", "dashboards/_quality.html", context)


def _first_score(request: ProjectRequest, project: Project, now: datetime) -> dict[str, Any]:
    """The page before anything arrived: the lines for a service, and for a page that asks its readers."""
    key = shown_once.first_key(request.session, project=project, now=now)
    last_trace = selectors.last_trace(project.pk, now=now)
    example = snippets.Example(
        address=_address(request),
        key=key or "YOUR_KEY",
        trace_id=last_trace or secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        now=now,
    )
    return {
        "project": project,
        "now": now,
        "is_empty": True,
        "snippet": score_snippets.curl(example),
        "link": score_snippets.link(example),
        "widget": score_snippets.widget(example),
        "is_of_a_trace": last_trace is not None,
        "has_key": key is not None,
        "key_url": _url_if_any("settings_keys", project=project.slug),
    }


# --- Palette ------------------------------------------------------------------------------------------------


@project_page()
def palette(request: ProjectRequest, project: Project) -> HttpResponse:
    """What the command palette finds beside the pages: a trace by its id, features, and the person's projects."""
    found = selectors.find_places(project, request.user, request.GET.get("q", ""))
    return render(request, "dashboards/_palette.html", {"found": found, "project": project})
