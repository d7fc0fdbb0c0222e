"""The providers that are reached through LiteLLM, and what their keys turn into as its arguments.

Only providers whose calls go to hosts that follow from their name, or to the connection's own address, and that need
nothing but what is typed in: LiteLLM would look for anything else in the environment and in files of this machine.
"""

from __future__ import annotations

import json
import re
from typing import Any

BEDROCK = "bedrock"
PROVIDERS: dict[str, str] = {
    "ai21_chat": "AI21",
    "bedrock": "Amazon Bedrock",
    "cerebras": "Cerebras",
    "cohere": "Cohere",
    "cohere_chat": "Cohere",
    "fireworks_ai": "Fireworks AI",
    "gemini": "Google Gemini",
    "jina_ai": "Jina AI",
    "mistral": "Mistral",
    "nvidia_nim": "NVIDIA NIM",
    "perplexity": "Perplexity",
    "sambanova": "SambaNova",
    "voyage": "Voyage",
    "xai": "xAI",
}
"""By LiteLLM's name."""

AWS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name")
REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-\d")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")
"""What a model's name may hold: it becomes a part of the address that LiteLLM calls."""


class KeyNotUsable(ValueError):
    """The key does not have the form that its provider needs; the message says which. It never quotes the key."""


def arguments(provider: str, secret: str) -> dict[str, Any]:
    """LiteLLM's arguments that say who is calling. Raises KeyNotUsable."""
    if provider not in PROVIDERS:
        raise KeyNotUsable(
            f"{provider or 'No provider'} is not offered through LiteLLM. There are: {', '.join(PROVIDERS)}."
        )
    if provider == BEDROCK:
        return _aws(secret)
    if not secret:
        raise KeyNotUsable("This provider needs a key.")
    return {"api_key": secret}


def _aws(secret: str) -> dict[str, Any]:
    form = "The key of Bedrock is a JSON object with aws_access_key_id, aws_secret_access_key and aws_region_name."
    try:
        found = json.loads(secret)
    except ValueError:
        raise KeyNotUsable(form) from None
    if not isinstance(found, dict) or not all(isinstance(value, str) and value for value in found.values()):
        raise KeyNotUsable(form)
    if set(found) - set(AWS) or not {"aws_access_key_id", "aws_secret_access_key", "aws_region_name"} <= set(found):
        raise KeyNotUsable(f"{form} It may have aws_session_token too, and nothing else.")
    if not REGION.fullmatch(found["aws_region_name"]):
        raise KeyNotUsable("aws_region_name must look like eu-central-1.")
    return found
