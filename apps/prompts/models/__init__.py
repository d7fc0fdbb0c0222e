"""Tables of prompts, by what they are about."""

from apps.prompts.models.prompts import Deployment, Draft, LiveMark, Prompt, Version

__all__ = ["Deployment", "Draft", "LiveMark", "Prompt", "Version"]
