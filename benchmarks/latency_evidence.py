"""How often the interval of latency evidence covers the true P99: `python benchmarks/latency_evidence.py`.

Draws 2,000 samples of 500 calls from each of three distributions and judges them as the product does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.budgets.latency_judging import Sample, bounded

TURNS, CALLS, MANY = 2_000, 500, 2_000_000
KINDS = ("lognormal", "mixture of fast and slow", "ties, rounded to 250 ms")


def draw(kind: str, size: int, dice: np.random.Generator) -> NDArray[np.int64]:
    """Lengths in whole milliseconds."""
    lengths = dice.lognormal(6.5, 0.6, size)
    if kind == KINDS[1]:
        lengths = np.where(dice.random(size) < 0.03, lengths * 8, lengths)
    rounded = np.rint(lengths / 250) * 250 if kind == KINDS[2] else np.rint(lengths)
    return rounded.astype(np.int64)


def main() -> None:
    """Print a row of the table for each distribution."""
    dice = np.random.default_rng(20)
    for kind in KINDS:
        truth = float(np.quantile(draw(kind, MANY, dice), 0.99, method="inverted_cdf"))
        covered = 0
        for _ in range(TURNS):
            found = bounded(Sample(draw(kind, CALLS, dice).tolist()), 99)
            covered += found.low <= truth <= found.high
        print(f"| {kind} | {100 * covered / TURNS:.1f} % |")


if __name__ == "__main__":
    main()
