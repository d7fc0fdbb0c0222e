"""Where money could be saved, each with its evidence, its arithmetic and a link, or why nothing can be said. Pure.

Every saving is dollars in 30 days, from what was measured: the known spend of the last 30 days, and the newest calls
with their texts as a sample of it. What a sample shows is scaled by the spend: the feature's spend of 30 days times the
sample's share. Nothing is proposed below its least evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from os.path import commonprefix
from statistics import median, quantiles

from apps.providers.rates import TokenPrices

MILLION = Decimal(1_000_000)
DAYS = 30
LEAST_CALLS = 100
LEAST_REPEATS = 10
LEAST_REPEAT_SHARE = 0.05
LEAST_TEXTS = 20
LEAST_PREFIX_TOKENS = 1024
"""Below so many tokens providers do not cache a prefix."""
LEAST_FAILED = 5
LONG_TIMES = 4
LEAST_LONG_TOKENS = 4_000
REPEAT_WITHIN = timedelta(hours=24)
LEAST_RETRIEVALS = 30
CHARS_PER_TOKEN = 4


Facts = Mapping[str, str | int | float | Decimal]


class Kind(StrEnum):
    """What a suggestion is about, in the order of the page."""

    MODEL = "cheaper_model"
    REPEATS = "cacheable_repeats"
    PREFIX = "prompt_caching"
    LONG = "overlong_prompts"
    CHUNKS = "unused_chunks"
    FAILED = "failed_calls"


@dataclass(frozen=True)
class Suggestion:
    """One thing to do. `saving_usd` is of 30 days; `facts` are the numbers that its sentences are made of."""

    kind: Kind
    subject: str
    saving_usd: Decimal
    facts: Facts


@dataclass(frozen=True)
class Sampled:
    """One of the newest calls. `digest` is of its input; the text is its beginning, empty when it was not read."""

    feature: str
    provider: str
    model: str
    prompt_version: str
    started_at: datetime
    is_failed: bool
    input_tokens: int | None
    cached_input_tokens: int
    cost_usd: Decimal | None
    digest: str
    text: str
    length: int


@dataclass(frozen=True)
class Compared:
    """Two ended runs over one eval set with different models, and the verdict that is kept."""

    feature: str
    candidate_model: str
    baseline_model: str
    candidate_run: int
    baseline_run: int
    verdict: str
    sentence: str
    cost_ratio: float | None
    pairs: int


@dataclass(frozen=True)
class Chunks:
    """What retrievals of a feature brought in 30 days; `unused` weighs each with the part of it that was not used."""

    feature: str
    retrievals: int
    chunks: int
    unused: float
    chars_per_chunk: float | None
    sampled: int


@dataclass(frozen=True)
class Month:
    """The known spend and the calls of 30 days, by feature, by feature and model, and by prompt version."""

    by_feature: Mapping[str, tuple[int, Decimal | None]] = field(default_factory=dict)
    by_model: Mapping[tuple[str, str], tuple[int, Decimal | None]] = field(default_factory=dict)
    by_version: Mapping[str, tuple[int, Decimal | None]] = field(default_factory=dict)


NOT_WORSE = ("better", "not_worse")


def cheaper_models(compared: Sequence[Compared], month: Month) -> list[Suggestion]:
    """The newest verdict on each pair of models of a feature: not worse, and cheaper on the same examples."""
    found: dict[tuple[str, str, str], Suggestion] = {}
    seen = set()
    for each in compared:
        key = (each.feature, each.baseline_model, each.candidate_model)
        if key in seen:
            continue  # an older comparison of the same two
        seen.add(key)
        calls, cost = month.by_model.get((each.feature, each.baseline_model), (0, None))
        if each.verdict not in NOT_WORSE or not cost or each.cost_ratio is None or each.cost_ratio >= 1:
            continue
        found[key] = Suggestion(
            Kind.MODEL,
            each.feature,
            cost * (1 - Decimal(str(each.cost_ratio))),
            {
                "from_model": each.baseline_model,
                "to_model": each.candidate_model,
                "verdict": each.sentence,
                "candidate_run": each.candidate_run,
                "baseline_run": each.baseline_run,
                "ratio": each.cost_ratio,
                "calls": calls,
                "cost_usd": cost,
            },
        )
    return list(found.values())


def cacheable_repeats(sample: Sequence[Sampled], month: Month) -> list[Suggestion]:
    """Features whose inputs come again, word for word to the same model, within a day."""
    found = []
    for feature, calls in _by(sample, "feature").items():
        known = [call for call in calls if call.cost_usd is not None]
        spent = sum((call.cost_usd or Decimal(0) for call in known), Decimal(0))
        repeats = _repeats(known)
        _, cost = month.by_feature.get(feature, (0, None))
        if len(known) < LEAST_CALLS or len(repeats) < LEAST_REPEATS or not spent or not cost:
            continue
        if len(repeats) / len(known) < LEAST_REPEAT_SHARE:
            continue
        repeated = sum((call.cost_usd or Decimal(0) for call in repeats), Decimal(0))
        facts: Facts = {
            "sampled": len(known),
            "repeats": len(repeats),
            "share": len(repeats) / len(known),
            "cost_usd": cost,
        }
        found.append(Suggestion(Kind.REPEATS, feature, cost * repeated / spent, facts))
    return found


def _repeats(calls: Sequence[Sampled]) -> list[Sampled]:
    last: dict[tuple[str, str], datetime] = {}
    repeats = []
    for call in sorted(calls, key=lambda each: each.started_at):
        key = (call.model, call.digest)
        if key in last and call.started_at - last[key] <= REPEAT_WITHIN:
            repeats.append(call)
        last[key] = call.started_at
    return repeats


def prompt_caching(
    sample: Sequence[Sampled], month: Month, prices: Mapping[tuple[str, str], TokenPrices]
) -> list[Suggestion]:
    """Prompt versions whose inputs begin alike for long and are not read from a cache, on models that sell that."""
    found = []
    for version, calls in _by(sample, "prompt_version").items():
        texts = [call for call in calls if call.text and call.input_tokens]
        price = prices.get((calls[0].provider, calls[0].model))
        total, _ = month.by_version.get(version, (0, None))
        if not version or len(texts) < LEAST_TEXTS or price is None or not total:
            continue
        share = min(
            1.0, len(commonprefix([call.text for call in texts])) / (median(call.length for call in texts) or 1)
        )
        tokens = median(call.input_tokens or 0 for call in texts)
        cached = sum(call.cached_input_tokens for call in calls) / len(calls)
        prefix = share * tokens
        if prefix < LEAST_PREFIX_TOKENS or cached >= prefix / 2 or price.input is None or price.cached_read is None:
            continue
        less = price.input - price.cached_read
        saving = Decimal(str(round((prefix - cached) * total))) * less / MILLION
        facts: Facts = {
            "sampled": len(texts),
            "share": share,
            "prefix_tokens": round(prefix),
            "cached_tokens": round(cached),
            "calls": total,
            "model": calls[0].model,
        }
        if saving > 0:
            found.append(Suggestion(Kind.PREFIX, version, saving, facts))
    return found


def overlong_prompts(
    sample: Sequence[Sampled], month: Month, prices: Mapping[tuple[str, str], TokenPrices]
) -> list[Suggestion]:
    """Prompt versions of which some calls are many times as long as the usual one: what a limit at twice would save."""
    found = []
    for version, calls in _by(sample, "prompt_version").items():
        lengths = [call.input_tokens for call in calls if call.input_tokens]
        price = prices.get((calls[0].provider, calls[0].model))
        total, _ = month.by_version.get(version, (0, None))
        if not version or len(lengths) < LEAST_CALLS or price is None or price.input is None or not total:
            continue
        usual, p95 = median(lengths), quantiles(lengths, n=20)[-1]
        if p95 < LONG_TIMES * usual or p95 < LEAST_LONG_TOKENS:
            continue
        beyond = sum(max(0.0, length - 2 * usual) for length in lengths) / len(lengths)
        saving = Decimal(str(round(beyond * total))) * price.input / MILLION
        facts: Facts = {"sampled": len(lengths), "usual": round(usual), "p95": round(p95), "calls": total}
        found.append(Suggestion(Kind.LONG, version, saving, facts))
    return found


def failed_calls(sample: Sequence[Sampled], month: Month) -> list[Suggestion]:
    """Features whose failed calls cost something all the same."""
    found = []
    for feature, calls in _by(sample, "feature").items():
        spent = sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0))
        failed = [call for call in calls if call.is_failed and call.cost_usd]
        _, cost = month.by_feature.get(feature, (0, None))
        if len(calls) < LEAST_CALLS or len(failed) < LEAST_FAILED or not spent or not cost:
            continue
        wasted = sum((call.cost_usd or Decimal(0) for call in failed), Decimal(0))
        facts: Facts = {"sampled": len(calls), "failed": len(failed), "share": float(wasted / spent), "cost_usd": cost}
        found.append(Suggestion(Kind.FAILED, feature, cost * wasted / spent, facts))
    return found


def unused_chunks(
    found: Sequence[Chunks], sample: Sequence[Sampled], prices: Mapping[tuple[str, str], TokenPrices]
) -> list[Suggestion]:
    """Features whose retrieved chunks mostly go unused: what their tokens cost as input of the feature's model."""
    models = {feature: calls[0] for feature, calls in _by(sample, "feature").items()}
    suggestions = []
    for each in found:
        call = models.get(each.feature)
        price = prices.get((call.provider, call.model)) if call else None
        if each.retrievals < LEAST_RETRIEVALS or price is None or not price.input or not each.chars_per_chunk:
            continue
        tokens = each.unused * each.chars_per_chunk / CHARS_PER_TOKEN
        facts: Facts = {
            "retrievals": each.retrievals,
            "chunks": each.chunks,
            "unused": each.unused / each.chunks,
            "tokens_per_chunk": round(each.chars_per_chunk / CHARS_PER_TOKEN),
            "sampled": each.sampled,
        }
        saving = Decimal(str(round(tokens))) * price.input / MILLION
        if saving > 0 and each.unused / each.chunks >= 0.5:
            suggestions.append(Suggestion(Kind.CHUNKS, each.feature, saving, facts))
    return suggestions


def _by(sample: Sequence[Sampled], name: str) -> dict[str, list[Sampled]]:
    groups: dict[str, list[Sampled]] = {}
    for call in sample:
        groups.setdefault(getattr(call, name), []).append(call)
    return groups
