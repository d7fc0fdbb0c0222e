"""How many subjects an experiment needs, and how long that takes. Pure.

For one look at the end, the usual sum for two means: `(z(1 - α/2) + z(power))² · (variance/share + variance/share) /
effect²` subjects of both arms together. The always-valid method pays for looking all the time; its price at the planned
size is a factor that was found by simulation (`benchmarks/abtest.py --plan`): the power is reached at that size at the
latest, and half of the experiments with the effect are over much earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

POWER = 0.8
SEQUENTIAL_FACTOR = 1.75
"""Subjects that always-valid intervals need at most, against one look at the end, for a power of 0.8."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Subjects of all arms together: looked at once at the end, and looked at all the time."""

    fixed: int
    sequential: int


def plan(
    *,
    effect: float,
    variance: float,
    weights: tuple[int, ...],
    alpha: float = 0.05,
    power: float = POWER,
) -> Plan | None:
    """What finds a difference of `effect` with that power, for the treatment with the smallest weight.

    `variance` is of the metric's values over subjects (of a rate p per subject, at most p · (1 - p)). `weights` begin
    with the control's. None when nothing varies or nothing is looked for.
    """
    if not (effect > 0 and variance > 0 and len(weights) > 1 and min(weights) > 0):
        return None
    normal, treatments, whole = NormalDist(), len(weights) - 1, sum(weights)
    reach = normal.inv_cdf(1 - alpha / treatments / 2) + normal.inv_cdf(power)
    spread = variance * (whole / weights[0] + whole / min(weights[1:]))
    fixed = math.ceil(reach**2 * spread / effect**2)
    return Plan(fixed, math.ceil(fixed * SEQUENTIAL_FACTOR))


def days_left(needed: int | None, reached: int, per_day: float | None) -> float | None:
    """Days until so many subjects are reached at the present rate; None without a plan or a rate."""
    if needed is None:
        return None
    if reached >= needed:
        return 0.0
    return (needed - reached) / per_day if per_day else None
