"""The hot door of the playground: one answer as it comes."""

from apps.playground.doors.streaming import answer, stop

__all__ = ["answer", "stop"]
