"""What a stopwatch and a drill say: sentences, and the moments of a rollback as a picture. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

TARGET_SECONDS = 5.0
"""Within this time every process is to serve what was restored."""
MOST_SECONDS = 300
"""The outer bound: five minutes. A drill that takes longer has failed."""
MEASURED_FOR = timedelta(minutes=15)
"""Calls arrive late; after this time the figures stay as they are."""
ALIVE_WITHIN = timedelta(seconds=10)
"""A process that was not heard of for so long is not counted as serving."""


@dataclass(frozen=True, slots=True)
class Ack:
    """A process that served the project at the click, and when it had what was restored; None while it has not.

    A lost one ended, or lost the database, before it said so.
    """

    id: str
    process: str
    at: datetime | None
    is_lost: bool = False

    @property
    def is_waited_for(self) -> bool:
        """True while it may still say that it has it."""
        return self.at is None and not self.is_lost

    def as_dict(self) -> dict[str, Any]:
        """The process as it is kept."""
        at = None if self.at is None else self.at.isoformat()
        return {"id": self.id, "process": self.process, "at": at, "is_lost": self.is_lost}


def ack_from_dict(told: Mapping[str, Any]) -> Ack:
    """The other way round."""
    at = told.get("at")
    return Ack(
        id=str(told.get("id", "")),
        process=str(told["process"]),
        at=None if at is None else datetime.fromisoformat(at),
        is_lost=bool(told.get("is_lost", False)),
    )


def merged(before: Sequence[Ack], now: Sequence[Ack]) -> tuple[Ack, ...]:
    """What is known of each process: what it said once stays said, also when it is gone since."""
    found = {ack.id: ack for ack in now}
    for ack in before:
        newer = found.get(ack.id)
        if newer is None:
            found[ack.id] = ack if ack.at is not None else Ack(ack.id, ack.process, None, is_lost=True)
        elif ack.at is not None:
            found[ack.id] = ack
    return tuple(sorted(found.values(), key=lambda ack: (ack.process, ack.id)))


def everywhere(acks: Sequence[Ack]) -> datetime | None:
    """When the last process had it; None while one is waited for, and when there is none that had it."""
    times = [ack.at for ack in acks if ack.at is not None]
    if not times or any(ack.is_waited_for for ack in acks):
        return None
    return max(times)


@dataclass(frozen=True, slots=True)
class Watched:
    """The moments of a rollback. `bad` and `restored` are candidates in words; `bad` is empty when nothing was live."""

    asked_at: datetime
    committed_at: datetime | None
    acks: tuple[Ack, ...]
    everywhere_at: datetime | None
    first_call_at: datetime | None
    last_bad_call_at: datetime | None
    bad_calls_after: int
    bad: str
    restored: str
    is_measuring: bool

    def after(self, moment: datetime | None) -> float | None:
        """Seconds since the click; None for a moment that is not known."""
        return None if moment is None else max(0.0, (moment - self.asked_at).total_seconds())


def sentence(watched: Watched) -> str:
    """How far the rollback has got, in one sentence."""
    parts = [part for part in (_arrival(watched), _bad_calls(watched)) if part]
    return "; ".join(parts) + "."


def _arrival(watched: Watched) -> str:
    acks = watched.acks
    had = sum(ack.at is not None for ack in acks)
    lost = sum(ack.is_lost and ack.at is None for ack in acks)
    gone = "" if not lost else f" ({_processes(lost)} not heard of again)"
    took = watched.after(watched.everywhere_at)
    if not acks:
        return "No process was serving this project at the click, so there was none to reach"
    if took is not None:
        return f"Live in {_all(had)} after {seconds(took)}{gone}"
    if had == 0 and lost == len(acks):
        return f"Cannot tell when it was live: {_processes(lost)} not heard of again"
    waiting = "waiting for the rest" if watched.is_measuring else "the rest did not say so"
    return f"Live in {had} of {_processes(len(acks) - lost)}, {waiting}{gone}"


def _bad_calls(watched: Watched) -> str:
    took = watched.after(watched.last_bad_call_at)
    if not watched.bad:
        return ""
    if took is not None:
        return f"the last call with {watched.bad} was seen {seconds(took)} after the click"
    if watched.first_call_at is not None or not watched.is_measuring:
        return f"no call with {watched.bad} was seen after the click"
    return ""


def _processes(count: int) -> str:
    return f"{count} process{'' if count == 1 else 'es'}"


def _all(count: int) -> str:
    return {1: "the one process", 2: "both processes"}.get(count, f"all {count} processes")


def seconds(value: float) -> str:
    """`0.4 s`, `12 s`, `2 min 5 s`."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"


def look(watched: Watched) -> str:
    """How it looks: `run` while a process is waited for, `pass` within the target, `warn` over it, `fail` over the
    outer bound or when some never had it, `off` when nobody was there to have it."""
    took = watched.after(watched.everywhere_at)
    if took is not None:
        return "pass" if took <= TARGET_SECONDS else "warn" if took <= MOST_SECONDS else "fail"
    if watched.is_measuring and (not watched.acks or any(ack.is_waited_for for ack in watched.acks)):
        return "run" if watched.acks else "off"
    return "fail" if watched.acks else "off"


# --- The picture


@dataclass(frozen=True, slots=True)
class Moment:
    """A mark on the time line. `x` is 0 to 100; `kind` is process, call, bad or commit."""

    label: str
    kind: str
    seconds: float | None
    x: float

    @property
    def told(self) -> str:
        """The seconds in words; empty while they are not known."""
        return "" if self.seconds is None else f"after {seconds(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A number below the time line."""

    label: str
    x: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments in rows, from the click at 0 to `span` seconds; `target_x` is where the target of 5 s lies."""

    moments: tuple[Moment, ...]
    ticks: tuple[Tick, ...]
    span: float
    target_x: float


SPANS = (6.0, 12.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
TICKS = 6


def timeline(watched: Watched) -> Timeline:
    """The moments of a rollback on one scale that holds them all and the target."""
    found: list[tuple[str, str, float | None]] = [("in the database", "commit", watched.after(watched.committed_at))]
    found += [
        (ack.process, "lost" if ack.is_lost and not ack.at else "process", watched.after(ack.at))
        for ack in watched.acks
    ]
    found.append((f"first call with {watched.restored}", "call", watched.after(watched.first_call_at)))
    if watched.bad:
        found.append((f"last call with {watched.bad}", "bad", watched.after(watched.last_bad_call_at)))
    latest = max((at for _, _, at in found if at is not None), default=0.0)
    span = next((one for one in SPANS if latest <= one * 0.96), SPANS[-1])
    moments = tuple(Moment(label, kind, at, _place(at or 0.0, span)) for label, kind, at in found)
    ticks = tuple(Tick(_short(span * step / TICKS), _place(span * step / TICKS, span)) for step in range(TICKS + 1))
    return Timeline(moments, ticks, span, _place(TARGET_SECONDS, span))


def _place(at: float, span: float) -> float:
    return round(min(1.0, at / span) * 100, 2)


def _short(value: float) -> str:
    return f"{value:g} s" if value < 120 else f"{value / 60:g} min"


# --- Drills


def passed(took: float, processes: int) -> str:
    """What a drill says that went well."""
    goal = "within" if took <= TARGET_SECONDS else "over"
    return f"Live in {_all(processes)} after {seconds(took)}, {goal} the goal of {TARGET_SECONDS:.0f} s."


def too_slow(took: float, target: int) -> str:
    """What a drill says that took too long."""
    return f"Live everywhere only after {seconds(took)}; it has to be within {seconds(target)}."


def not_everywhere(acks: Sequence[Ack], target: int) -> str:
    """What a drill says when processes never said that they had it."""
    missing = ", ".join(ack.process for ack in acks if ack.at is None)
    return f"Not live everywhere within {seconds(target)}: {missing or 'no process'} did not say so."


NOBODY = (
    "No process serves the live prompts of this project, so there is nothing to measure. Have a service ask for "
    "a live prompt, then start the drill again."
)
"""What a drill says when there was nobody to reach."""
