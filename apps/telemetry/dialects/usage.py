"""Token counts out of usage objects as providers and client libraries write them. Pure.

Ours include: input those read from and written to a cache, output those of reasoning. Providers differ, so what an
object means is told by its names and, where they are the same, by its total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.telemetry.dialects import converting as to

INPUT = ("prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_token_count", "promptTokenCount")
OUTPUT = ("completion_tokens", "output_tokens", "completionTokens", "outputTokens")
TOOL_USE = ("tool_use_prompt_token_count", "toolUsePromptTokenCount")
LIFETIMES = ("cache_creation", "cache_creation_token_details")
CANDIDATES = ("candidates_token_count", "candidatesTokenCount")
TOTAL = ("total_tokens", "totalTokens", "total_token_count", "totalTokenCount", "total")
INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details", "inputTokenDetails")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details", "outputTokenDetails")
READ = (
    "cache_read_input_tokens",
    "cacheReadInputTokens",
    "cache_read_tokens",
    "cached_tokens",
    "cachedInputTokens",
    "cached_content_token_count",
    "cachedContentTokenCount",
    "input_cached_tokens",
    "input_cache_read",
    "input_cache_read_tokens",
    "cache_read",
    "cacheReadTokens",
)
WRITTEN = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cache_write_input_tokens",
    "cache_write_tokens",
    "cache_creation_tokens",
    "input_cache_creation",
    "input_cache_creation_tokens",
    "cache_creation",
    "cacheWriteTokens",
)
REASONING = (
    "reasoning_tokens",
    "reasoningTokens",
    "output_reasoning_tokens",
    "output_reasoning",
    "reasoning",
    "thoughts_token_count",
    "thoughtsTokenCount",
)


def fields(value: Any) -> dict[str, Any]:
    """The token counts of a usage object (also one sent as JSON or Python text) under our names; empty if none.

    Where nothing at all was counted, an object of zeros says nothing.
    """
    usage = to.mapping(value)
    if not usage:
        return {}
    read = _first(usage, READ, INPUT_DETAILS)
    written = _first(usage, WRITTEN, INPUT_DETAILS)
    reasoning = _first(usage, REASONING, OUTPUT_DETAILS)
    of_lifetimes = _of_lifetimes(usage)
    if written is None and of_lifetimes is not None:
        written = of_lifetimes.all
    if "input" in usage or "output" in usage:
        tokens_in, tokens_out = _buckets(usage)
    else:
        tokens_in, tokens_out = _named(usage, read, written)
    if not tokens_in and not tokens_out:
        return {}
    found = {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cached_input_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": of_lifetimes.hour if of_lifetimes and of_lifetimes.hour else None,
        "reasoning_tokens": reasoning,
        "service_tier": _tier(usage),
    }
    return {name: said for name, said in found.items() if said is not None}


class _Written(NamedTuple):
    """Tokens written to a cache: of any lifetime, and of an hour."""

    all: int
    hour: int


def _of_lifetimes(usage: Mapping[str, Any]) -> _Written | None:
    """What was written for how long, as Anthropic, LiteLLM and Bedrock's Converse say it; None where none does."""
    inner = [to.mapping(usage.get(name)) or {} for name in INPUT_DETAILS]
    for given in (usage, *inner):
        for name in LIFETIMES:
            told = to.mapping(given.get(name)) or {}
            short, hour = (to.count(told.get(f"ephemeral_{length}_input_tokens")) for length in ("5m", "1h"))
            if short is not None or hour is not None:
                return _Written((short or 0) + (hour or 0), hour or 0)
    several = usage.get("cacheDetails")
    if not isinstance(several, list):
        return None
    parts = [(one.get("ttl"), to.count(one.get("inputTokens")) or 0) for one in several if isinstance(one, Mapping)]
    return _Written(sum(count for _, count in parts), sum(count for ttl, count in parts if ttl == "1h"))


def _tier(usage: Mapping[str, Any]) -> str | None:
    """The service tier; Vertex AI calls it `trafficType`, such as ON_DEMAND_PRIORITY."""
    said = to.text(usage.get("service_tier")) or to.text(usage.get("serviceTier"))
    if said:
        return said
    traffic = to.text(usage.get("trafficType")) or to.text(usage.get("traffic_type")) or ""
    _, on_demand, tier = traffic.upper().partition("ON_DEMAND_")
    return tier.lower() if on_demand and tier else None


def _first(usage: Mapping[str, Any], names: tuple[str, ...], details: tuple[str, ...] = ()) -> int | None:
    inner = [to.mapping(usage.get(name)) or {} for name in details]
    for given in (usage, *inner):
        for name in names:
            count = to.count(given.get(name))
            if count is not None:
                return count
    return None


def _named(usage: Mapping[str, Any], read: int | None, written: int | None) -> tuple[int | None, int | None]:
    """Input and output of a provider's own object. Anthropic's and Bedrock's input is without what the cache gave."""
    tokens_in, tokens_out, total = _first(usage, INPUT), _first(usage, OUTPUT), _first(usage, TOTAL)
    candidates = _first(usage, CANDIDATES)
    if tokens_out is None and candidates is not None:
        tokens_out = candidates + (_first(usage, REASONING) or 0)  # Gemini counts thoughts apart
        if tokens_in is not None:
            tokens_in += _first(usage, TOOL_USE) or 0  # and what its tools brought, which it bills as input
    cache = (read or 0) + (written or 0)
    if tokens_in is not None and cache:
        beside = not any(name in usage for name in INPUT_DETAILS) and not any(
            name in usage for name in ("prompt_tokens", "prompt_token_count", "promptTokenCount")
        )
        summed = total is not None and total == tokens_in + (tokens_out or 0)
        if cache > tokens_in or (beside and not summed):
            tokens_in += cache
    return tokens_in, tokens_out


def _buckets(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Langfuse's own object: what begins with `input_` and the cache stand beside `input`, unless the total says that
    they are within it."""
    counts = {name: count for name, one in usage.items() if (count := to.count(one)) is not None}
    tokens_in, tokens_out, total = counts.get("input"), counts.get("output"), counts.get("total")
    if total is not None and total == (tokens_in or 0) + (tokens_out or 0):
        return tokens_in, tokens_out
    beside_in = sum(
        count for name, count in counts.items() if name.startswith("input_") or name in READ or name in WRITTEN
    )
    beside_out = sum(
        count for name, count in counts.items() if name.startswith("output_") or name == "reasoning_tokens"
    )
    return (
        None if tokens_in is None and not beside_in else (tokens_in or 0) + beside_in,
        None if tokens_out is None and not beside_out else (tokens_out or 0) + beside_out,
    )
