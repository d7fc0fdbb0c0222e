"""Which entry of the price list a call means: spellings of providers and models, and no guessing.

A call names its provider and model in the words of some library. Only the rules written here connect them
with a listed name. There is no match by prefix or likeness: a model that is nearly called like another may
cost ten times as much, and an unknown cost is easier to mend than a wrong one. What was left out on purpose:

- The date of an OpenAI snapshot is not dropped: `gpt-4o-2024-05-13` costs twice what `gpt-4o` does.
- The region of a Bedrock profile (`us.`, `eu.`) is not dropped: newer models cost more in a region.
- A model of one host is not priced as the same model of another: hosts set their own prices.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SEPARATORS = re.compile(r"[\s.\-]+")

ALIASES: dict[str, tuple[str, ...]] = {
    "amazon_bedrock": ("bedrock",),
    "aws": ("bedrock",),
    "aws_bedrock": ("bedrock",),
    "bedrock_converse": ("bedrock",),
    "az_ai_inference": ("azure_ai",),
    "azure_ai_inference": ("azure_ai",),
    "az_ai_openai": ("azure",),
    "azure_ai_openai": ("azure",),
    "azure_openai": ("azure",),
    "azure_text": ("azure",),
    "cohere_chat": ("cohere",),
    "fireworks": ("fireworks_ai",),
    "fireworks_ai_embedding_models": ("fireworks_ai",),
    "gcp_gemini": ("gemini",),
    "google_ai_studio": ("gemini",),
    "google_genai": ("gemini", "vertex_ai"),
    "google_generativeai": ("gemini",),
    "gcp_gen_ai": ("gemini", "vertex_ai"),
    "gcp": ("gemini", "vertex_ai"),
    "google": ("gemini", "vertex_ai"),
    "gcp_vertex_ai": ("vertex_ai",),
    "google_vertex": ("vertex_ai",),
    "google_vertexai": ("vertex_ai",),
    "vertexai": ("vertex_ai",),
    "ibm_watsonx": ("watsonx",),
    "ibm_watsonx_ai": ("watsonx",),
    "mistral_ai": ("mistral",),
    "mistralai": ("mistral",),
    "moonshot_ai": ("moonshot",),
    "moonshotai": ("moonshot",),
    "openai_responses": ("openai",),
    "text_completion_openai": ("openai",),
    "together": ("together_ai",),
    "togetherai": ("together_ai",),
    "voyageai": ("voyage",),
    "voyage_ai": ("voyage",),
    "x_ai": ("xai",),
}
"""Other spellings of providers: OpenTelemetry's well-known values, LangChain's, OpenInference's and LiteLLM's
own kinds. A spelling that means one of several providers has a price only where those that list the model
agree on it."""

PASS_THROUGH = frozenset({"litellm", "litellm_proxy"})
"""Not providers but doors to them: their model names carry the provider."""

PREFIXES = {"amazon_nova": "amazon-nova", "scx_ai": "scx-ai"}
"""How names are listed where the prefix is not the provider's own name."""


class Candidate(NamedTuple):
    """A listed name, in lower case, to look for; of this provider, or of any when None."""

    provider: str | None
    name: str


def providers_of(spelling: str | None) -> tuple[str, ...]:
    """The providers a spelling may mean; none when nothing, or a mere door, is named."""
    if not spelling or not spelling.strip():
        return ()
    word = _SEPARATORS.sub("_", spelling.strip().lower())
    if word in PASS_THROUGH:
        return ()
    if word.startswith("vertex_ai_"):  # LiteLLM's kinds of Vertex models, such as vertex_ai-anthropic_models
        word = "vertex_ai"
    return ALIASES.get(word, (word,))


def ways_to_read(provider: str | None, model: str) -> list[list[Candidate]]:
    """Each provider the call may mean, with the names to look for under it, best first.

    The first listed candidate of each way counts; if ways disagree about the price, it is unknown.
    """
    name = model.strip().lower()
    providers = providers_of(provider)
    if providers:
        return [_names_of(one, name) for one in providers]
    ways = [[Candidate(None, name)]]
    for one, rest in _provider_in(name):
        ways.append(_names_of(one, rest))
    return [ways[0]] if len(ways) == 1 else [ways[0] + way for way in ways[1:]]


def _names_of(provider: str, name: str) -> list[Candidate]:
    """The listed names a provider's model may have."""
    spellings = [name]
    for one, rest in _provider_in(name):
        if one == provider:
            spellings.append(rest)
    for spelling in list(spellings):
        shorter = _official_short_name(provider, spelling)
        if shorter is not None:
            spellings.append(shorter)
    prefix = PREFIXES.get(provider, provider) + "/"
    found: list[Candidate] = []
    for spelling in spellings:
        listed = [Candidate(provider, prefix + spelling), Candidate(provider, spelling)]
        # A name that already looks like a listed one is first taken as such.
        found += reversed(listed) if spelling.startswith(prefix) else listed
    return found


def _provider_in(name: str) -> list[tuple[str, str]]:
    """The providers that a model's name itself names, each with what is left of the name."""
    if name.startswith("arn:aws:bedrock:"):
        return [("bedrock", name)]
    if name.startswith("models/gemini-"):
        return [("gemini", name)]
    if name.startswith("accounts/fireworks/"):
        return [("fireworks_ai", name)]
    if "publishers/" in name and "/models/" in name:
        return [("vertex_ai", name)]
    if name.startswith("ft:"):
        return [("openai", name)]
    if name.startswith("claude-"):
        return [("anthropic", name)]
    head, slash, rest = name.partition("/")
    return [(one, rest) for one in providers_of(head)] if slash and rest else []


_ANTHROPIC_SNAPSHOT = re.compile(r"(claude-.+?)[-@]20\d{6}")


def _official_short_name(provider: str, name: str) -> str | None:
    """The same model by the provider's own shorter name, if it has one that is sure to cost the same."""
    if provider in {"gemini", "vertex_ai"} and name.startswith("models/"):
        return name.removeprefix("models/")  # resource names of the Gemini API
    if provider == "vertex_ai" and "publishers/" in name and "/models/" in name:
        return name.rpartition("/models/")[2]  # resource names of Vertex AI
    if provider == "bedrock" and name.startswith("arn:aws"):
        kind, _, identifier = name.rpartition(":")[2].partition("/")
        return identifier if kind in {"foundation-model", "inference-profile"} else _arn_tail(name)
    if provider == "openai" and name.startswith("ft:"):
        base = name.split(":")[1]
        return f"ft:{base}"  # a fine-tuned model costs what every fine-tuned model of its base does
    if provider in {"anthropic", "vertex_ai"}:
        snapshot = _ANTHROPIC_SNAPSHOT.fullmatch(name)
        return snapshot and snapshot[1]  # Anthropic prices a model, not its snapshots
    return None


def _arn_tail(name: str) -> str | None:
    """The model id in a Bedrock ARN whose id holds a colon, as in
    `...foundation-model/anthropic.claude-v2:1`."""
    for kind in ("foundation-model/", "inference-profile/"):
        head, found, tail = name.partition(":" + kind)
        if found and head:
            return tail
    return None
