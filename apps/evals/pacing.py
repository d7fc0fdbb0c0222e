"""How fast a provider is asked: as much at once as it takes, fewer after it refused, and pauses that everybody keeps.

Times are seconds on a clock that only goes forward, passed in as `at`. Nothing here waits or reads a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RETRIES = 2
"""So often a call is made again after the first time failed."""
MOST_INTERRUPTED = 8
"""An example whose call was cut off by the end of a worker more often is not tried again: it may be what ends them."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
LONGEST_PAUSE = 60.0
RECENT = 1.0
"""Refusals within so many seconds are one: they answer calls that were on their way together."""
DOWN_AFTER = 5
"""So many calls in a row that could not be made at all: the provider is down, or does not let us in."""
DOWN_PAUSES = (2.0, 4.0, 8.0, 16.0)
"""How long is waited each time before a single call looks whether it is back."""


def backoff(attempt: int, chance: float, asked: float | None = None) -> float:
    """Seconds until the next attempt: what the provider asks for, else twice as long each time; `chance` in 0..1
    spreads callers over half to one and a half of that ("full jitter" without waits of nothing)."""
    if asked is not None:
        return asked + chance / 10
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)) * (0.5 + chance)


@dataclass(slots=True)
class Throttle:
    """How many calls of one run may be on their way: one more for each whole round that went well, half as many after a
    refusal (additive increase, multiplicative decrease: Chiu and Jain, 1989)."""

    most: int
    limit: float = 0.0
    _cut_at: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self.limit = self.limit or float(self.most)

    @property
    def allowed(self) -> int:
        """So many, at least one."""
        return max(1, int(self.limit))

    def went_well(self) -> None:
        """A call was answered."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def was_refused(self, at: float) -> None:
        """The provider answered 429."""
        if at - self._cut_at >= RECENT:
            self._cut_at = at
            self.limit = max(1.0, self.limit / 2)


@dataclass(slots=True)
class Gate:
    """Whether a connection may be asked now. After a refusal nobody asks before `paused_until`; then one call looks
    whether it is better, and the others follow when it went well."""

    paused_until: float = float("-inf")
    is_looking: bool = False
    refusals: int = 0
    """In a row, those that answer calls of one moment counted once."""
    failures: int = 0
    """Calls in a row that could not be made at all."""
    looks: int = 0
    """How often it was looked in vain since it went down."""
    _refused_at: float = float("-inf")

    def may_ask(self, at: float, in_flight: int) -> bool:
        """False during a pause, and while the one call that looks is on its way."""
        return at >= self.paused_until and not (self.is_looking and in_flight > 0)

    def seconds_left(self, at: float) -> float:
        """How long the pause still lasts."""
        return max(0.0, self.paused_until - at)

    def went_well(self) -> None:
        """A call was answered: everybody may ask again."""
        self.is_looking = False
        self.refusals = self.failures = self.looks = 0

    def was_refused(self, at: float, asked: float | None) -> float:
        """The provider answered 429; the seconds of the pause that begins now."""
        if at - self._refused_at >= RECENT or self.refusals == 0:
            self.refusals += 1
        self._refused_at = at
        wait = asked if asked is not None else 2.0 ** (self.refusals - 1)
        wait = min(LONGEST_PAUSE, max(wait, 0.05))
        self.pause(at + wait)
        return wait

    def pause(self, until: float) -> None:
        """Nobody asks before that moment, and then one call looks first."""
        self.paused_until = max(self.paused_until, until)
        self.is_looking = True

    def could_not_be_made(self, at: float) -> bool:
        """A call did not reach the provider, or it did not let us in. True when that was tried often enough: the
        provider is down."""
        self.failures += 1
        if self.failures < DOWN_AFTER:
            return False
        if at < self.paused_until:
            return False  # an answer to a call that was on its way already
        if self.looks >= len(DOWN_PAUSES):
            return True
        self.pause(at + DOWN_PAUSES[self.looks])
        self.looks += 1
        return False


@dataclass(slots=True)
class Bucket:
    """At most `per_minute` calls within any 60 seconds; None: as many as one likes."""

    per_minute: float | None = None
    _begun: deque[float] = field(default_factory=deque)

    def wait(self, at: float) -> float:
        """Seconds until the next call may begin; 0: now."""
        if self.per_minute is None:
            return 0.0
        while self._begun and at - self._begun[0] >= 60.0:
            self._begun.popleft()
        most = max(1, int(self.per_minute))
        return 0.0 if len(self._begun) < most else 60.0 - (at - self._begun[len(self._begun) - most])

    def begin(self, at: float) -> None:
        """A call begins."""
        if self.per_minute is not None:
            self._begun.append(at)
