"""The real part of the sample: the requests of the Azure LLM inference trace 2023 (see README.md)."""

from __future__ import annotations

import csv
import gzip
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, cast

FILE = Path(__file__).with_name("azure_llm_2023.csv.gz")

Service = Literal["conv", "code"]


class RealCall(NamedTuple):
    """One request: which service received it, how long after the trace's beginning, and its token counts."""

    number: int
    service: Service
    offset_ms: int
    input_tokens: int
    output_tokens: int


@cache
def real_calls() -> tuple[RealCall, ...]:
    """All 28,185 of them, numbered from 0 in the order of the file."""
    calls: list[RealCall] = []
    with gzip.open(FILE, "rt", encoding="ascii", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            service = cast(Service, row["service"])
            before = calls[-1].offset_ms if calls and calls[-1].service == service else 0
            offset_ms = before + int(row["ms_since_previous"])
            calls.append(RealCall(number, service, offset_ms, int(row["input_tokens"]), int(row["output_tokens"])))
    return tuple(calls)
