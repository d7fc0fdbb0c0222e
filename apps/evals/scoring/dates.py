"""Dates and sums of money as people write them, in one form."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

from apps.evals.scoring.numbers import numbers_in

ORDERS = (("dmy", "Day, month, year"), ("mdy", "Month, day, year"), ("ymd", "Year, month, day"))

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: place for place, name in enumerate(_NAMES, start=1)}
_NAMED = rf"(?P<month>{'|'.join(_NAMES)})[a-z]{{0,6}}\.?"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>\d{4})\s?[-/.\s]\s?(?P<second>\d{1,2})\s?[-/.\s]\s?(?P<day>\d{1,2})(?!\d)",
        r"(?<!\d)(?P<a>\d{1,2})\s?[-/.\s,]\s?(?P<b>\d{1,2})\s?[-/.\s,]\s?(?P<c>\d{4}|\d{2})(?!\d)",
        rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s?[-/.,\s]?\s?{_NAMED}\s?[-/.,'’\s]{{0,2}}\s?(?P<year>\d{{4}}|\d{{2}})(?!\d)",
        rf"\b{_NAMED}\s?[-/.,\s]?\s?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s?[-/.,'’\s]{{1,2}}\s?(?P<year>\d{{4}}|\d{{2}})(?!\d)",
        r"(?<!\d)(?P<year>(?:19|20)\d{2})(?P<second>\d{2})(?P<day>\d{2})(?!\d)",
        r"(?<!\d)(?P<a>\d{2})(?P<b>\d{2})(?P<c>(?:19|20)\d{2})(?!\d)",
    )
)


def parse_date(text: str, order: str = "dmy") -> date | None:
    """The first date of a text, in numbers or with an English month; times beside it do not matter. `order` decides
    where numbers alone leave it open; years of two digits are 1970 to 2069. None when there is no date."""
    text = text[:1_000]
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            found = _from_parts(match.groupdict(), order)
            if found is not None:
                return found
    return None


def _from_parts(parts: dict[str, str | None], order: str) -> date | None:
    if parts.get("a"):
        one, two, three = (int(parts[name] or 0) for name in "abc")
        if order == "ymd" and len(parts["c"] or "") == 2:
            return _valid(one, two, three)
        first, second = (one, two) if order == "mdy" else (two, one)
        return _valid(three, first, second) or _valid(three, second, first)
    month = _MONTHS[(parts.get("month") or "").lower()] if parts.get("month") else int(parts["second"] or 0)
    return _valid(int(parts["year"] or 0), month, int(parts["day"] or 0))


def _valid(year: int, month: int, day: int) -> date | None:
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse_money(text: str) -> Fraction | None:
    """The sum of a text such as `RM 1,234.50` or `12,90 €`, whatever the currency; None unless there is exactly one
    number in it."""
    text = text[:1_000]
    decimal = "comma" if re.search(r"(?:^|[^\d,.])(?:\d{1,3}(?:\.\d{3})+|\d+),\d{1,2}(?!\d)", text) else "point"
    found = list(numbers_in(text, decimal))
    return found[0].value if len(found) == 1 else None
