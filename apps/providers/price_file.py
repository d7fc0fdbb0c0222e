"""LiteLLM's price file, read as data: its entries become price lists, and what is wrong in it is named.

The file comes with the litellm package. That package is never imported for it: importing is slow and asks the
network.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from apps.providers.names import providers_of
from apps.providers.pricing import EXACT
from apps.providers.rates import PLACES, RatesError, rates_from_json

FILE_NAME = "model_prices_and_context_window_backup.json"
EXAMPLE_ENTRY = "sample_spec"
MAX_NAME_LENGTH = 200
MAX_BYTES = 50_000_000
MAX_PER_TOKEN = 1
"""Dollars. A higher price is a slip of units."""

TEXT_MODES = frozenset({"chat", "completion", "responses", "embedding", "rerank", "moderation"})
"""Only these are priced by text tokens; images, speech, video and pages are counted otherwise."""

KEYS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
}
PLANS = {
    "batches": "batch",
    "flex": "flex",
    "balanced": "balanced",
    "priority": "priority",
    "ultrafast": "ultrafast",
}
_KEY = re.compile(
    rf"(?P<base>{'|'.join(sorted(KEYS, key=len, reverse=True))})"
    r"(?:_above_(?P<above>\d+)(?P<thousands>k?)_tokens)?"
    rf"(?:_(?P<plan>{'|'.join(PLANS)}))?"
)
_HOURS = re.compile(r"\s*(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)\s*")

TIER_STARTS_AT_THE_LINE = frozenset({"xai"})
"""Providers whose higher price begins with the token that reaches the line, not with the one after it."""


class PriceFileError(ValueError):
    """The file cannot be read as a price file at all; the message says why."""


class PricedName(NamedTuple):
    """One entry: the name as listed, the provider, what it is for, and its price list (empty: listed without
    price)."""

    model: str
    provider: str
    mode: str
    rates: dict[str, Any]


class BadEntry(NamedTuple):
    """An entry that was left out, and why."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a price file says."""

    entries: tuple[PricedName, ...]
    bad: tuple[BadEntry, ...]
    not_by_token: int
    """Entries for images, speech, video and the like, which are not read."""
    sha256: str


class Source(NamedTuple):
    """Where a price file lies and which version it is."""

    path: Path
    name: str
    version: str


def installed_file() -> Source:
    """The file of the installed litellm package, found without importing it; PriceFileError when there is
    none."""
    spec = importlib.util.find_spec("litellm")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder) / FILE_NAME
        if path.is_file():
            return Source(path, "litellm", importlib.metadata.version("litellm"))
    raise PriceFileError("The litellm package is not installed; name a price file with --file.")


def read(path: Path) -> bytes:
    """The bytes of a price file, unpacked when it is gzipped; PriceFileError when it cannot be read or is too
    large."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError) as error:
        raise PriceFileError(f"The price file cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise PriceFileError(f"The price file is larger than {MAX_BYTES} bytes.")
    return content


def parse(content: bytes) -> PriceFile:
    """Read a price file. Bad entries are left out and named; raises PriceFileError when the whole is
    unusable."""
    try:
        data = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError) as error:
        raise PriceFileError(f"The price file is not JSON: {error}") from error
    if not isinstance(data, dict) or not data:
        raise PriceFileError("The price file is not a JSON object of models.")
    entries: list[PricedName] = []
    bad: list[BadEntry] = []
    seen: set[str] = set()
    others = 0
    for model, entry in data.items():
        if model == EXAMPLE_ENTRY:
            continue
        try:
            found = _entry(model, entry, seen)
        except RatesError as error:
            bad.append(BadEntry(model[:MAX_NAME_LENGTH], str(error)))
            continue
        if found is None:
            others += 1
        else:
            entries.append(found)
            seen.add(model.lower())
    return PriceFile(tuple(entries), tuple(bad), others, hashlib.sha256(content).hexdigest())


def _entry(model: str, entry: object, seen: set[str]) -> PricedName | None:
    """One entry as a price list, or None when it is not priced by text tokens; RatesError when it makes no
    sense."""
    if not isinstance(entry, dict):
        raise RatesError("an entry is an object")
    mode = entry.get("mode")
    if mode not in TEXT_MODES:
        return None
    provider = entry.get("litellm_provider")
    if not isinstance(provider, str) or not providers_of(provider) or len(provider) > 64:
        raise RatesError("litellm_provider is missing or too long")
    if not model.strip() or len(model) > MAX_NAME_LENGTH or not model.isprintable():
        raise RatesError(f"a name has 1 to {MAX_NAME_LENGTH} printable characters")
    if model.lower() in seen:
        raise RatesError("listed twice: names are told apart without regard to case")
    rates = _rates(entry, providers_of(provider)[0])
    rates_from_json(rates)
    return PricedName(model, providers_of(provider)[0], str(mode), rates)


def _rates(entry: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """The price list of an entry; empty when it has no price by tokens."""
    rates: dict[str, Any] = {}
    for key, value in entry.items():
        match = _KEY.fullmatch(key)
        if match is None or value is None:
            continue
        plan = PLANS.get(match["plan"] or "")
        target = rates.setdefault("plans", {}).setdefault(plan, {}) if plan else rates
        if match["above"]:
            above = int(match["above"]) * (1000 if match["thousands"] else 1)
            target = target.setdefault("tiers", {}).setdefault(above, {})
        target[KEYS[match["base"]]] = per_million(key, value)
    if "cached_read" not in rates and entry.get("input_cost_per_token_cache_hit") is not None:
        rates["cached_read"] = per_million("cache hit", entry["input_cost_per_token_cache_hit"])
    if entry.get("input_cost_per_request") is not None:
        rates["per_request"] = _plain(_dollars("input_cost_per_request", entry["input_cost_per_request"]))
    _take_table(rates, entry.get("tiered_pricing"))
    if "input" not in rates or _is_priced_otherwise(entry, rates):
        return {}
    if entry.get("off_peak_pricing") is not None:
        rates["off_peak"] = _off_peak(entry["off_peak_pricing"])
    for plan_rates in (rates, *rates.get("plans", {}).values()):
        if "tiers" in plan_rates:
            plan_rates["tiers"] = _sorted_tiers(plan_rates["tiers"], provider)
    return rates


def _sorted_tiers(tiers: Mapping[int, dict[str, str]], provider: str) -> list[dict[str, Any]]:
    earlier = 1 if provider in TIER_STARTS_AT_THE_LINE else 0
    return [{"above": above - earlier, **tiers[above]} for above in sorted(tiers)]


def _take_table(rates: dict[str, Any], table: object) -> None:
    """Read `tiered_pricing`, a table of complete prices by ranges of input tokens, which replaces single
    prices."""
    if not isinstance(table, list):
        return
    ranges = []
    for row in table:
        span = row.get("range") if isinstance(row, dict) else None
        if span is None:
            continue  # a table by something other than tokens, such as search results
        if not isinstance(span, list) or len(span) != 2 or not isinstance(span[0], Decimal):
            raise RatesError("tiered_pricing: a range is two numbers of tokens")
        prices = {KEYS[key]: per_million(key, value) for key, value in row.items() if key in KEYS}
        ranges.append((int(span[0]), prices))
    if not ranges:
        return
    ranges.sort(key=lambda one: one[0])
    if ranges[0][0] != 0 or any("input" not in prices for _, prices in ranges):
        raise RatesError("tiered_pricing: ranges begin at 0 and have an input price")
    rates.update(ranges[0][1])
    rates["tiers"] = dict(ranges[1:])


def _is_priced_otherwise(entry: Mapping[str, Any], rates: Mapping[str, Any]) -> bool:
    """True when tokens cost nothing but something else does: seconds, pages, images. Then the call is not
    free."""
    own = [value for name, value in rates.items() if isinstance(value, str) and name != "per_request"]
    if any(Decimal(value) for value in own) or Decimal(rates.get("per_request", "0")):
        return False
    return any(
        "cost" in key and _KEY.fullmatch(key) is None and isinstance(value, Decimal) and value > 0
        for key, value in entry.items()
    )


def _off_peak(data: object) -> dict[str, Any]:
    """Off-peak prices; hours that come without weekdays hold every day."""
    if not isinstance(data, dict):
        raise RatesError("off_peak_pricing is an object")
    zone = data.get("weekday_timezone", "UTC")
    rules = data.get("windows") or []
    if not isinstance(rules, list):
        raise RatesError("off_peak_pricing: windows is a list")
    if data.get("hours_utc"):
        rules = [*rules, {"hours_utc": data["hours_utc"]}]
    windows: list[dict[str, Any]] = []
    for rule in rules:
        hours = rule.get("hours_utc") if isinstance(rule, dict) else None
        for text in [hours] if isinstance(hours, str) else hours or []:
            windows.append({**_span(text), "timezone": zone})
            if rule.get("weekdays") is not None:
                windows[-1]["weekdays"] = _weekdays(rule["weekdays"])
    prices = {KEYS[key]: per_million(key, value) for key, value in data.items() if key in KEYS}
    return {"windows": windows, **prices}


def _weekdays(days: object) -> list[int]:
    if not isinstance(days, list) or not all(
        isinstance(day, Decimal) and day == day.to_integral_value() for day in days
    ):
        raise RatesError("off_peak_pricing: weekdays are numbers from 1 (Monday) to 7")
    return [int(day) for day in days]


def _span(text: object) -> dict[str, int]:
    match = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise RatesError("off_peak_pricing: hours look like 16:30-00:30")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    return {"start": hour * 60 + minute, "end": end_hour * 60 + end_minute}


def per_million(key: str, value: object) -> str:
    """A price per token as text in dollars per million tokens, exactly; RatesError for what is no price."""
    return _plain(EXACT.scaleb(_dollars(key, value), 6))


def _dollars(key: str, value: object) -> Decimal:
    """A number of the file that can be the price of one token or request."""
    if isinstance(value, Decimal) and 0 <= value < MAX_PER_TOKEN:
        places = value.as_tuple().exponent
        if isinstance(places, int) and places >= -PLACES - 6:
            return value
    raise RatesError(f"{key}: not a price from 0 to {MAX_PER_TOKEN} dollars of at most {PLACES + 6} places")


def _plain(value: Decimal) -> str:
    """All digits, without an exponent or idle zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
