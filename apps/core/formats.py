"""Numbers and times in words, as every page shows them. Pure: values in, text out.

A number carries its unit after a space that does not break. Negative numbers have a true minus. Unknown is an
en dash, which is not the same as zero.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal, NamedTuple

UNKNOWN = "–"
MINUS = "−"
SPACE = "\u00a0"

Number = int | float | Decimal
Unit = Literal["relative", "points", "ms", "number"]
Good = Literal["up", "down", "none"]

MATERIAL = Decimal("0.05")
"""A change smaller than this part of what was before is not called better or worse."""


def _rounded(value: Number, places: int) -> Decimal:
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    return exact if exact else abs(exact)


def plain(value: Number, places: int = 0) -> str:
    """A number with thousands separators and a true minus, rounded half to even."""
    return f"{_rounded(value, places):,f}".replace("-", MINUS)


def number(value: Number | None, places: int = 0) -> str:
    """`11,230`, or a dash when unknown."""
    return UNKNOWN if value is None else plain(value, places)


def compact(value: Number | None) -> str:
    """Three digits and a letter: `842`, `1.24 k`, `38.4 k`, `3.10 M`."""
    if value is None:
        return UNKNOWN
    size = abs(Decimal(str(value)))
    if size < Decimal("999.5"):
        return plain(value)
    for letter, unit in (("k", 3), ("M", 6), ("G", 9), ("T", 12)):
        scaled = size.scaleb(-unit)
        if scaled < Decimal("999.5") or letter == "T":
            break
    places = 2 if scaled < Decimal("9.995") else 1 if scaled < Decimal("99.95") else 0
    return plain(Decimal(str(value)).scaleb(-unit), places) + SPACE + letter


def tokens(value: Number | None) -> str:
    """`1.24 k tok`."""
    return UNKNOWN if value is None else f"{compact(value)}{SPACE}tok"


def milliseconds(value: Number | None) -> str:
    """A length of time given in milliseconds: `842 ms`, `1.24 s`, `12.3 s`, `2.1 min`, `1.5 h`, `3.2 d`."""
    if value is None:
        return UNKNOWN
    size = abs(Decimal(str(value)))
    if size and size < Decimal("0.95"):
        text, unit = f"<{SPACE}1", "ms"
    elif size < Decimal("9.95"):
        text, unit = plain(size, 0 if size == size.to_integral_value() else 1), "ms"
    elif size < Decimal("999.5"):
        text, unit = plain(size), "ms"
    elif size < Decimal("59_950"):
        text, unit = plain(size / 1000, 2 if size < 9_995 else 1), "s"
    elif size < Decimal("3_597_000"):
        text, unit = plain(size / 60_000, 1), "min"
    elif size < Decimal("86_220_000"):
        text, unit = plain(size / 3_600_000, 1), "h"
    else:
        text, unit = plain(size / 86_400_000, 1), "d"
    return (MINUS if value < 0 else "") + text + SPACE + unit


def percent(ratio: Number | None, places: int | None = None) -> str:
    """A ratio as `0.42 %`, `87.1 %`, `99.97 %`.

    Only 0 is shown as `0 %` and only 1 as `100 %`: nearly nothing and nearly everything keep their digits.
    """
    if ratio is None:
        return UNKNOWN
    share = Decimal(str(ratio)) * 100
    if places is not None:
        return plain(share, places) + SPACE + "%"
    if share in (0, 100):
        return plain(share) + SPACE + "%"
    size = abs(share)
    if size < Decimal("0.01"):
        return f"{MINUS if share < 0 else ''}<{SPACE}0.01{SPACE}%"
    if Decimal("99.99") < size < 100:
        return f"{MINUS if share < 0 else ''}>{SPACE}99.99{SPACE}%"
    return plain(share, 2 if size < 1 or 99 <= size < 100 else 1) + SPACE + "%"


class Change(NamedTuple):
    """A difference in words, and whether it is one to be glad of."""

    text: str
    verdict: Literal["good", "bad", "flat", "unknown"]


def change(now: Number | None, before: Number | None, *, unit: Unit = "relative", good: Good = "none") -> Change:
    """How `now` differs from `before`.

    Units: `relative` in percent of before, `points` between two ratios, `ms` between two lengths of time,
    `number` as a plain difference. `good` says which way is better; less than 5 % of before is flat.
    """
    if now is None or before is None:
        return Change(UNKNOWN, "unknown")
    new, old = Decimal(str(now)), Decimal(str(before))
    step = new - old
    if unit == "relative":
        if not old:
            return Change(UNKNOWN if new else f"0{SPACE}%", "unknown" if new else "flat")
        text = plain(step / abs(old) * 100, 1 if abs(step) < abs(old) else 0) + SPACE + "%"
    elif unit == "points":
        text = plain(step * 100, 2 if abs(step) < Decimal("0.01") else 1) + SPACE + "pt"
    elif unit == "ms":
        text = milliseconds(step)
    else:
        text = plain(step)
    if step > 0:
        text = f"+{text}"
    if good == "none" or abs(step) < MATERIAL * abs(old) or not step:
        return Change(text, "flat")
    return Change(text, "good" if (step > 0) == (good == "up") else "bad")


def age(moment: datetime, now: datetime) -> str:
    """How long ago in the largest whole unit: `just now`, `12 s`, `2 min`, `22 h`, `3 d`; later the day."""
    seconds = int((now - moment).total_seconds())
    if seconds < 0:
        return exact(moment)
    if seconds < 5:
        return "just now"
    for limit, size, unit in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86_400, 3600, "h"),
        (30 * 86_400, 86_400, "d"),
    ):
        if seconds < limit:
            return f"{seconds // size}{SPACE}{unit}"
    return day(moment, now)


def day(moment: datetime, now: datetime) -> str:
    """`Nov 21`, with the year when it is not this one."""
    here = moment.astimezone(UTC)
    text = f"{here:%b} {here.day}"
    return text if here.year == now.astimezone(UTC).year else f"{text}, {here.year}"


def clock_time(moment: datetime) -> str:
    """`14:18:07`, in UTC."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def exact(moment: datetime) -> str:
    """`2026-11-23 14:18:07 UTC`, for whoever needs to know."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(start: datetime, end: datetime, now: datetime) -> str:
    """A chosen stretch of time: `Nov 3 10:00 to Nov 5 12:00`."""

    def end_point(moment: datetime) -> str:
        return f"{day(moment, now)} {moment.astimezone(UTC):%H:%M}"

    return f"{end_point(start)} to {end_point(end)}"


def length(amount: timedelta) -> str:
    """A round stretch of time as the range buttons name it: `24 h`, `7 d`; other ones like `milliseconds`."""
    seconds = amount.total_seconds()
    if seconds >= 2 * 86_400 and seconds % 86_400 == 0:
        return f"{int(seconds // 86_400)}{SPACE}d"
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{int(seconds // 3600)}{SPACE}h"
    return milliseconds(int(seconds * 1000))
