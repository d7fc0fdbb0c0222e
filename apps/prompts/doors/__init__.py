"""Doors of prompts that never enter Django's handler. Only `llmops_site.asgi` uses them."""

from apps.prompts.doors.live_door import forget, live, stop

__all__ = ["forget", "live", "stop"]
