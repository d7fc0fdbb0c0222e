"""What is known of providers before anybody types anything: addresses, protocols, and models to begin with.

These are only what a form is filled with; a connection keeps what was typed. The test model stands here too, because
everything that offers models has to know its names.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.providers.calls import Protocol

TEST = "test"
"""The test model's provider, and the first part of its models' names."""

TEST_MODELS: dict[str, str] = {
    "steady": "a plausible sentence, always the same for the same request, word by word",
    "echo": "the last message of the user, as it came",
    "json": "an object that fits the response schema",
    "tools": "a call of the first tool, with arguments that fit it",
    "classify": "of the labels listed in the prompt, the one that shares most words with the input",
    "slow": "as steady, some seconds later",
    "flaky": "as steady, but every fourth request fails",
    "embed": "embeddings: a hashed bag of words",
}
"""What each test model answers."""

TEST_EMBEDDING_MODELS = frozenset({"embed"})


def is_test_model(provider: str | None, model: str) -> bool:
    """True for a model that is shipped and costs nothing, by its name with or without `test/`."""
    return provider == TEST and model.strip().lower().removeprefix(f"{TEST}/") in TEST_MODELS


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider as a form offers it. An empty address is one that the person has to fill in, or, with LiteLLM, one
    that LiteLLM knows."""

    key: str
    name: str
    protocol: Protocol
    provider: str
    """As the price book names it; with LiteLLM also LiteLLM's name."""
    base_url: str = ""
    models: tuple[str, ...] = ()
    needs_secret: bool = True
    hint: str = ""
    """What a person has to know about the address or the key."""


PRESETS: tuple[Preset, ...] = (
    Preset(
        "openai",
        "OpenAI",
        Protocol.OPENAI,
        "openai",
        "https://api.openai.com/v1",
        ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small"),
    ),
    Preset(
        "anthropic",
        "Anthropic",
        Protocol.ANTHROPIC,
        "anthropic",
        "https://api.anthropic.com",
        ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"),
    ),
    Preset(
        "azure",
        "Azure OpenAI (v1)",
        Protocol.OPENAI,
        "azure",
        hint="The address is https://<resource>.openai.azure.com/openai/v1; models are the names of your deployments.",
    ),
    Preset(
        "gemini",
        "Google Gemini",
        Protocol.OPENAI,
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"),
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        Protocol.OPENAI,
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5"),
    ),
    Preset(
        "mistral",
        "Mistral",
        Protocol.OPENAI,
        "mistral",
        "https://api.mistral.ai/v1",
        ("mistral-small-latest", "mistral-large-latest"),
    ),
    Preset(
        "groq",
        "Groq",
        Protocol.OPENAI,
        "groq",
        "https://api.groq.com/openai/v1",
        ("llama-3.1-8b-instant", "llama-3.3-70b-versatile"),
    ),
    Preset(
        "together",
        "Together AI",
        Protocol.OPENAI,
        "together_ai",
        "https://api.together.xyz/v1",
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo",),
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        Protocol.OPENAI,
        "deepseek",
        "https://api.deepseek.com/v1",
        ("deepseek-chat", "deepseek-reasoner"),
    ),
    Preset(
        "ollama",
        "Ollama",
        Protocol.OPENAI,
        "ollama",
        "http://localhost:11434/v1",
        ("llama3.2",),
        needs_secret=False,
        hint="Whoever runs this installation has to allow the address first.",
    ),
    Preset(
        "vllm",
        "vLLM",
        Protocol.OPENAI,
        "hosted_vllm",
        "http://localhost:8000/v1",
        needs_secret=False,
        hint="Whoever runs this installation has to allow the address first.",
    ),
    Preset(
        "lmstudio",
        "LM Studio",
        Protocol.OPENAI,
        "lm_studio",
        "http://localhost:1234/v1",
        needs_secret=False,
        hint="Whoever runs this installation has to allow the address first.",
    ),
    Preset(
        "bedrock",
        "Amazon Bedrock",
        Protocol.LITELLM,
        "bedrock",
        models=("anthropic.claude-3-5-haiku-20241022-v1:0", "amazon.nova-lite-v1:0"),
        hint="The key is a JSON object: aws_access_key_id, aws_secret_access_key and aws_region_name.",
    ),
    Preset(
        "cohere",
        "Cohere",
        Protocol.LITELLM,
        "cohere",
        models=("command-r7b-12-2024", "command-a-03-2025"),
    ),
    Preset("own", "Another server that speaks OpenAI's API", Protocol.OPENAI, "", needs_secret=False),
)
"""In the order in which they are offered."""

BY_KEY = {preset.key: preset for preset in PRESETS}
