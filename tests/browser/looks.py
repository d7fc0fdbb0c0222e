"""The windows in which pages are looked at: each theme once, and each width once, because axe takes seconds."""

from __future__ import annotations

LOOKS = (("light", 1440), ("dark", 400))
