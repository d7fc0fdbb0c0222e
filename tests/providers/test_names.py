"""Which listed name a call means, and what is left unknown on purpose."""

from __future__ import annotations

import pytest

from apps.providers import names, price_file
from apps.providers.price_file import PricedName, PriceFile


@pytest.fixture(scope="module")
def listed() -> dict[str, PricedName]:
    """The installed price file by lower-case name."""
    return {entry.model.lower(): entry for entry in whole_file().entries}


def whole_file() -> PriceFile:
    """The installed price file."""
    return price_file.parse(price_file.read(price_file.installed_file().path))


def found(listed: dict[str, PricedName], provider: str | None, model: str) -> list[str]:
    """The first listed name of each way to read the call."""
    ways = []
    for candidates in names.ways_to_read(provider, model):
        for candidate in candidates:
            entry = listed.get(candidate.name)
            if entry is not None and candidate.provider in (None, entry.provider):
                ways.append(entry.model)
                break
    return ways


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("OpenAI", " GPT-4o ", "gpt-4o"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("openai", "ft:gpt-4o-2024-08-06:acme:support:abc123", "ft:gpt-4o-2024-08-06"),
        (None, "gpt-4o", "gpt-4o"),
        ("", "gpt-4o", "gpt-4o"),
        (None, "openai/gpt-4o", "gpt-4o"),
        (None, "azure/gpt-4o", "azure/gpt-4o"),
        ("azure.ai.openai", "gpt-4o", "azure/gpt-4o"),
        ("az.ai.openai", "gpt-4o", "azure/gpt-4o"),
        ("litellm", "azure/gpt-4o", "azure/gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-sonnet-4-5-20991231", "claude-sonnet-4-5"),
        (None, "claude-sonnet-4-5-20991231", "claude-sonnet-4-5"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20991231", "vertex_ai/claude-sonnet-4-5"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-5-sonnet-20240620-v1:0",
            "anthropic.claude-3-5-sonnet-20240620-v1:0",
        ),
        (
            None,
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("gcp.gemini", "models/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        (None, "models/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("vertex_ai", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        (None, "projects/p/locations/us/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("fireworks", "accounts/fireworks/models/deepseek-v3", "fireworks_ai/accounts/fireworks/models/deepseek-v3"),
        (None, "accounts/fireworks/models/deepseek-v3", "fireworks_ai/accounts/fireworks/models/deepseek-v3"),
        ("mistral_ai", "mistral-large-latest", "mistral/mistral-large-latest"),
        ("x_ai", "grok-4.20-0309-reasoning", "xai/grok-4.20-0309-reasoning"),
        ("perplexity", "perplexity/sonar", "perplexity/sonar"),
        ("amazon nova", "nova-micro-v1", "amazon-nova/nova-micro-v1"),
    ],
)
def test_understands_how_calls_name_models(
    listed: dict[str, PricedName], provider: str | None, model: str, name: str
) -> None:
    assert found(listed, provider, model) == [name]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2099-01-01"),  # a snapshot may cost other than its name
        ("openai", "gpt-4o-mini-super"),  # no match by the beginning
        ("openai", "gpt-4"[:4]),
        (None, "gpt"),
        ("bedrock", "mars.anthropic.claude-sonnet-4-5-20250929-v1:0"),  # a region may cost more
        ("bedrock", "arn:aws:bedrock:us-east-1:123:application-inference-profile/abc"),
        ("openrouter", "openai/gpt-4o"),  # another host
        ("openai", "anthropic/claude-sonnet-4-5"),
        ("my-company", "gpt-4o"),
        ("openai", "meta-llama/Llama-3.1-8B-Instruct"),
        ("openai", ""),
        (None, "/"),
        (None, "openai/"),
    ],
)
def test_leaves_unknown_what_no_rule_connects(listed: dict[str, PricedName], provider: str | None, model: str) -> None:
    assert found(listed, provider, model) == []


def test_a_word_for_two_providers_is_read_both_ways(listed: dict[str, PricedName]) -> None:
    assert found(listed, "google", "gemini-2.5-pro") == ["gemini/gemini-2.5-pro", "gemini-2.5-pro"]


def test_every_listed_name_is_found_by_itself_and_by_its_provider(listed: dict[str, PricedName]) -> None:
    """With nothing but the name exactly that entry; with the provider, that entry or its twin."""
    for name, entry in listed.items():
        assert found(listed, None, entry.model)[0] == entry.model
        (twin,) = found(listed, entry.provider, entry.model)
        assert listed[twin.lower()].provider == entry.provider
        assert name.rpartition(f"{entry.provider}/")[2] in twin.lower()
