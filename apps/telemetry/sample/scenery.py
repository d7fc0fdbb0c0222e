"""What is invented: the shop's features, their models and prompts, when people work, and what goes wrong."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate

from apps.telemetry.sample.dice import Dice
from apps.telemetry.sample.trace import Service

DAYS = 30
HOURS = DAYS * 24
NEW_PROMPT_DAYS = 12
"""How long before the end support-chat got its new prompt version, which calls a larger model."""

BAD_DAYS_AGO = 6
BAD_HOURS = range(13, 16)
"""Hours of the UTC day in which one provider kept breaking off, on the last working day at least so long ago."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as calls name it, and how quick it is: times in milliseconds, speeds in tokens a second."""

    provider: str
    requested: str
    answered: str
    first_token_ms: int
    reads: int
    writes: int
    caches: bool = False
    reasons: bool = False


HAIKU = Model("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", 420, 14_000, 120, caches=True)
SONNET = Model("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 760, 9_000, 68, caches=True)
GPT_MINI = Model("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", 540, 12_000, 95, caches=True, reasons=True)
GPT = Model("openai", "gpt-5", "gpt-5-2025-08-07", 980, 9_000, 62, caches=True, reasons=True)
FLASH = Model("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash", 330, 22_000, 170)
CODESTRAL = Model("mistral_ai", "codestral-2508", "codestral-2508", 190, 18_000, 150)
HOUSE = Model("self_hosted", "fernhill-coder-7b", "fernhill-coder-7b", 110, 6_000, 75)
"""The one without a price."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One feature: the share of its service's calls it gets, its prompt, its models with their shares, its errors."""

    name: str
    service: Service
    share: float
    prompt: str
    version: str
    models: tuple[tuple[Model, float], ...]
    error_rate: float
    people: int
    people_named: str


SUPPORT_OLD = Scene("support-chat", "conv", 0.72, "support-reply", "1.4.0", ((HAIKU, 1.0),), 0.006, 420, "customer")
SUPPORT_NEW = Scene(
    "support-chat", "conv", 0.72, "support-reply", "2.0.0", ((SONNET, 0.92), (HAIKU, 0.08)), 0.005, 420, "customer"
)
SCENES = (
    SUPPORT_OLD,
    Scene("knowledge-search", "conv", 0.20, "cited-answer", "3.1.2", ((FLASH, 1.0),), 0.008, 260, "customer"),
    Scene("order-agent", "conv", 0.08, "order-desk", "0.9.1", ((GPT_MINI, 0.8), (GPT, 0.2)), 0.021, 90, "customer"),
    Scene("code-completion", "code", 0.78, "fill-middle", "1.0.3", ((CODESTRAL, 0.7), (HOUSE, 0.3)), 0.004, 38, "dev"),
    Scene("code-review", "code", 0.22, "review-diff", "2.2.0", ((SONNET, 0.35), (GPT_MINI, 0.65)), 0.012, 24, "dev"),
)

SCENES_OF: dict[Service, list[tuple[Scene, float]]] = {
    "conv": [(scene, scene.share) for scene in SCENES if scene.service == "conv"],
    "code": [(scene, scene.share) for scene in SCENES if scene.service == "code"],
}

DAY = {
    "conv": (4, 3, 3, 3, 3, 3, 4, 7, 10, 12, 13, 13, 12, 12, 13, 12, 11, 11, 12, 13, 12, 9, 6, 5),
    "code": (2, 2, 2, 2, 2, 2, 3, 5, 10, 14, 15, 14, 9, 13, 15, 15, 13, 9, 5, 3, 3, 2, 2, 2),
}
"""How busy each hour of the UTC day is."""

WEEK = {"conv": (10, 10, 10, 10, 11, 8, 7), "code": (10, 11, 11, 11, 9, 2, 2)}
"""How busy each day of the week is, from Monday."""

GROWTH = 0.35
"""How much busier the last hour is than the first, apart from the day and the week."""


class Calendar:
    """Deals the calls of a service out over the hours that end at `end`."""

    def __init__(self, end: datetime, service: Service) -> None:
        self.start = end - timedelta(hours=HOURS)
        self._sums = list(accumulate(self._busy(service, hour) for hour in range(HOURS)))

    def _busy(self, service: Service, hour: int) -> float:
        middle = self.start + timedelta(hours=hour, minutes=30)
        return DAY[service][middle.hour] * WEEK[service][middle.weekday()] * (1 + GROWTH * hour / HOURS)

    def hour(self, share: float) -> int:
        """The hour, from 0, below which this share of the calls lies."""
        return min(bisect_right(self._sums, share * self._sums[-1]), HOURS - 1)


def choose_scene(service: Service, hour: int, dice: Dice) -> Scene:
    """The feature that makes a call, as it was in that hour."""
    scene = dice.weigh(SCENES_OF[service])
    return SUPPORT_NEW if scene is SUPPORT_OLD and hour >= HOURS - NEW_PROMPT_DAYS * 24 else scene


def bad_day(end: datetime) -> date:
    """The day with the bad hours."""
    day = end.date() - timedelta(days=BAD_DAYS_AGO)
    return day - timedelta(days=max(0, day.weekday() - 4))


def is_bad(model: Model, at: datetime, day: date) -> bool:
    """True for the calls that suffered from the provider's bad hours on that day."""
    return model.provider == "anthropic" and at.date() == day and at.hour in BAD_HOURS


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ends badly after its tokens were spent."""

    kind: str
    message: str
    finish: str = ""
    is_late: bool = False


FAILURES = (
    Failure("timeout", "No further token within 30 s; the client gave up.", is_late=True),
    Failure("stream_interrupted", "The provider closed the stream before the answer was complete."),
    Failure("invalid_output", "The answer is not the JSON that the caller asked for.", finish="stop"),
    Failure("content_filter", "The provider's filter withheld the rest of the answer.", finish="content_filter"),
)
BROKEN_OFF = Failure("stream_interrupted", "overloaded_error: the provider closed the stream.")
