"""The filters of lists of traces, sessions and users, as they stand in an address and as they are offered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from apps.core.shell import ALL_ENVIRONMENTS
from apps.telemetry.addresses import Choice, Option, choice, read_value
from apps.telemetry.figures import Dimension
from apps.telemetry.filters import TraceFilter, read_prompt, read_score
from apps.telemetry.search_words import read_search
from apps.telemetry.types import KINDS

PARAMETERS = (
    "q", "feature", "model", "status", "user", "session", "provider", "kind", "prompt", "tool", "agent", "tag",
    "error_type", "score", "min_latency", "max_latency", "min_cost", "flagged",
)  # fmt: skip
"""What narrows a list, beside the time and the environment."""

FIRST = ("q", "feature", "model", "status")
"""The filters that are always seen; the others wait behind a button."""

KEPT = (*PARAMETERS, "env", "range", "from", "to")
"""What a saved view keeps of an address."""

LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|min|h)?\s*")
UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, None: 1}


@dataclass(frozen=True)
class TextField:
    """A filter that is typed. `example` stands in the empty field, `problem` says why what was typed has no effect."""

    name: str
    label: str
    value: str
    example: str = ""
    problem: str = ""


def read_filter(params: Mapping[str, str]) -> TraceFilter:
    """What the address narrows by; what makes no sense is left out."""
    environment = params.get("env") or ALL_ENVIRONMENTS
    status, kind = params.get("status"), params.get("kind")
    prompt_name, prompt_version = read_prompt(read_value(params.get("prompt")))
    return TraceFilter(
        environment=None if environment == ALL_ENVIRONMENTS else read_value(environment),
        feature=read_value(params.get("feature")),
        model=read_value(params.get("model")),
        provider=read_value(params.get("provider")),
        status=status if status in {"ok", "error"} else None,
        user_id=read_value(params.get("user")),
        session_id=read_value(params.get("session")),
        prompt_name=prompt_name,
        prompt_version=prompt_version,
        kind=kind if kind in KINDS else None,
        tool_name=read_value(params.get("tool")),
        agent_name=read_value(params.get("agent")),
        error_type=read_value(params.get("error_type")),
        tag=read_value(params.get("tag")) or None,
        least_latency_ms=read_length(params.get("min_latency")),
        most_latency_ms=read_length(params.get("max_latency")),
        least_cost_usd=read_dollars(params.get("min_cost")),
        text=read_search(params.get("q")),
        score=read_score(params.get("score")),
        is_flagged=True if params.get("flagged") == "1" else None,
    )


def read_length(text: str | None) -> int | None:
    """Milliseconds of `800`, `800 ms`, `2.5 s`, `3 min` or `1 h`; None for anything else."""
    match = LENGTH.fullmatch(text or "")
    return int(Decimal(match[1]) * UNITS[match[2]]) if match else None


def read_dollars(text: str | None) -> Decimal | None:
    """Dollars of `0.05` or `$0.05`; None for anything else and for less than nothing."""
    try:
        amount = Decimal((text or "").strip().removeprefix("$").strip()[:32])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 10**12 else None


def is_narrowed(matching: TraceFilter) -> bool:
    """True when something beside the environment narrows the list."""
    return bool(set(matching.given()) - {"environment"})


def choices(matching: TraceFilter, *, features: Iterable[str], models: Iterable[str]) -> list[Choice]:
    """The filters that are chosen from a list and always seen."""
    return [
        choice(
            Dimension.FEATURE,
            label=_("Feature"),
            every=_("Every feature"),
            chosen=matching.feature,
            values=list(features),
        ),
        choice(Dimension.MODEL, label=_("Model"), every=_("Every model"), chosen=matching.model, values=sorted(models)),
        _fixed("status", _("Status"), _("Every status"), matching.status, {"ok": _("OK"), "error": _("Error")}),
    ]


def more_choices(matching: TraceFilter) -> list[Choice]:
    """The filters that are chosen from a list and wait behind a button."""
    return [
        _fixed("kind", _("Kind of span"), _("Every kind"), matching.kind, {kind: kind for kind in KINDS}),
        _fixed(
            "flagged",
            _("Flagged"),
            _("Flagged or not"),
            "1" if matching.is_flagged else None,
            {"1": _("Flagged for review")},
        ),
    ]


def _fixed(name: str, label: str, every: str, chosen: str | None, options: Mapping[str, str]) -> Choice:
    shown = tuple(Option(value, words, value == chosen) for value, words in options.items())
    return Choice(name=name, label=label, every=every, is_set=chosen is not None, options=shown)


def text_fields(params: Mapping[str, str], matching: TraceFilter) -> list[TextField]:
    """The filters that are typed and wait behind a button."""
    fields = (
        ("user", _("User"), "", True),
        ("session", _("Session"), "", True),
        ("provider", _("Provider"), "", True),
        ("prompt", _("Prompt"), _("name or name@version"), True),
        ("tool", _("Tool"), "", True),
        ("agent", _("Agent"), "", True),
        ("tag", _("Tag"), "", True),
        ("error_type", _("Type of error"), "", True),
        ("score", _("Score"), "thumbs<1", matching.score is not None),
        ("min_latency", _("Takes at least"), "2 s", matching.least_latency_ms is not None),
        ("max_latency", _("Takes at most"), "800 ms", matching.most_latency_ms is not None),
        ("min_cost", _("Costs at least"), "$0.05", matching.least_cost_usd is not None),
    )
    return [
        TextField(name, label, params.get(name, ""), example, _problem(params.get(name, ""), example, is_read))
        for name, label, example, is_read in fields
    ]


def _problem(value: str, example: str, is_read: bool) -> str:
    if not value or is_read:
        return ""
    return _("This has no effect; write it like %(example)s.") % {"example": example}


def search_problem(params: Mapping[str, str], matching: TraceFilter) -> str:
    """Why what is searched for has no effect; empty when it has."""
    if params.get("q", "").strip() and matching.text is None:
        return _("A search needs letters or digits.")
    return ""


def bar(
    params: Mapping[str, str], matching: TraceFilter, *, features: Iterable[str], models: Iterable[str] = ()
) -> dict[str, Any]:
    """What the template of the filter bar needs."""
    texts, more = text_fields(params, matching), more_choices(matching)
    return {
        "q": params.get("q", ""),
        "search_problem": search_problem(params, matching),
        "filters": choices(matching, features=features, models=models),
        "more": more,
        "texts": texts,
        "set_count": sum(bool(field.value) for field in texts) + sum(each.is_set for each in more),
        "is_filtered": is_narrowed(matching),
    }
