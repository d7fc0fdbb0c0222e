"""How often a watch calls a sound release broken, and after how many calls it finds a bad one.

    python benchmarks/watches.py [--simulations 1000]

Each line is a release against one with 2 % errors, a mean cost and a score of 0.8, over 3,000 calls before and up to
4,000 after. Every look that decides is taken, as the product takes them. Exit status 1 when sound releases are called
broken more often than in 5 % of the watches.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.promotions.guardrail_bounds import Spread
from apps.promotions.guardrail_judging import Side, Taken, judge
from apps.promotions.guardrails import GuardrailConfig, ScoreRail

CONFIG = GuardrailConfig(scores=(ScoreRail("helpful", 0.05),))
BEFORE, AFTER, SCORED = 3_000, 4_000, 5
RELEASES = {
    "as before": (0.02, 1.0, 1.0, 0.8),
    "at every limit": (0.04, 1.3, 1.2, 0.75),
    "8 % errors": (0.08, 1.0, 1.0, 0.8),
    "P99 doubled": (0.02, 2.0, 1.0, 0.8),
    "cost up by 40 %": (0.02, 1.0, 1.4, 0.8),
    "score down by 0.2": (0.02, 1.0, 1.0, 0.6),
}


class Calls:
    """Calls of a release in their order: errors, latencies, costs, and a score of every fifth."""

    def __init__(
        self, random: np.random.Generator, size: int, errors: float, slower: float, dearer: float, score: float
    ):
        self.errors = random.random(size) < errors
        self.latencies = np.round(random.lognormal(6, 0.6, size) * slower)
        self.costs = random.lognormal(-6, 0.8, size) * dearer
        self.scores = (random.random(size // SCORED) < score).astype(float)

    def side(self, size: int) -> Side:
        """The first calls, added up."""
        values, counts = np.unique(self.latencies[:size], return_counts=True)
        return Side(
            size,
            int(self.errors[:size].sum()),
            tuple(zip(values.tolist(), counts.tolist(), strict=True)),
            spread(self.costs[:size]),
            {"helpful": spread(self.scores[: size // SCORED])},
        )


def spread(values: np.ndarray) -> Spread:
    """Count, mean and variance."""
    return Spread(len(values), float(values.mean()), float(values.var(ddof=1)))


def found_at(random: np.random.Generator, release: tuple[float, float, float, float]) -> int | None:
    """After how many calls the watch of this release finds a guardrail broken; None when it never does."""
    before = Calls(random, BEFORE, RELEASES["as before"]).side(BEFORE)
    after, taken, size = Calls(random, AFTER, release), Taken(), CONFIG.minimum_calls
    while size <= AFTER:
        report = judge(CONFIG, before, after.side(size), taken=taken)
        if report.breached:
            return size
        taken, size = report.taken, report.needed_calls
    return None


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1_000)
    given = parser.parse_args()
    started, random, fine = time.monotonic(), np.random.default_rng(4), True
    print("| release | called broken | half of them by |\n|---|--:|--:|")
    for name, release in RELEASES.items():
        sizes = [found_at(random, release) for _ in range(given.simulations)]
        found = sorted(size for size in sizes if size)
        share = len(found) / len(sizes)
        fine = fine and (name not in {"as before", "at every limit"} or share <= 0.05)
        middle = f"{found[len(found) // 2]:,} calls" if found and share > 0.5 else "–"
        print(f"| {name} | {100 * share:.1f} % | {middle} |", flush=True)
    print(f"\n{given.simulations:,} simulations a line, {time.monotonic() - started:.0f} s")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
