"""How often a verdict is wrong: simulated pairs of runs whose true difference is known.

    python benchmarks/evalstats.py [--simulations 2000] [--only binary]

Each line is one world at the edge of what a verdict may say: `better` is false where the mean is not higher, `not
worse` where it is lower by the margin or the worst tenth by its margin. The share of false verdicts must stay at or
below 1 - level. Worlds where the truth is clear show how often it is found. Resamples are 199, which makes the
bootstrap's ends noisier and nothing else. Exit status 1 when a share is above its bound.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.evals.compare import Settings
from apps.evals.stats_compare import verdict_of
from apps.evals.types import Verdict

Random = np.random.Generator
Draw = Callable[[Random, int], tuple[np.ndarray, np.ndarray]]
FAVOR = {Verdict.BETTER, Verdict.NOT_WORSE}
SETTINGS = Settings(resamples=199)


@dataclass(frozen=True)
class World:
    """How examples' scores come about on both sides, and which verdicts would be false there (or right, for power)."""

    name: str
    draw: Draw
    wrong: frozenset[Verdict] = frozenset()
    right: frozenset[Verdict] = frozenset()
    sizes: tuple[int, ...] = (30, 60, 100, 200, 400, 1000)


def binary(level: float, wins: float, losses: float) -> Draw:
    """Pass or fail: a baseline that passes `level`, and shares of all examples that are won and lost."""

    def draw(random: Random, size: int) -> tuple[np.ndarray, np.ndarray]:
        base = (random.random(size) < level).astype(float)
        gain, loss = random.random(size) < wins / (1 - level), random.random(size) < losses / level
        return np.where(base == 1, np.where(loss, 0.0, 1.0), np.where(gain, 1.0, 0.0)), base

    return draw


def graded(shift: float, noise: float, *, a: float = 6, b: float = 2, ties: int = 0) -> Draw:
    """Graded scores: skewed (Beta) qualities, noise on both sides, rounded to `ties` steps when asked to. The shift is
    made before the noise, by pulling towards 0 or 1, so that it is exact in the mean."""

    def draw(random: Random, size: int) -> tuple[np.ndarray, np.ndarray]:
        true = random.beta(a, b, size)
        spread = noise * 4 * true * (1 - true)
        base = true + random.choice([-1, 1], size) * np.minimum(spread, np.minimum(true, 1 - true))
        other = true + random.choice([-1, 1], size) * np.minimum(spread, np.minimum(true, 1 - true))
        mean = a / (a + b)
        other = other * (1 + shift / mean) if shift < 0 else other + (1 - other) * shift / (1 - mean)
        return _rounded(random, other, ties), _rounded(random, base, ties)

    return draw


def _rounded(random: Random, values: np.ndarray, steps: int) -> np.ndarray:
    """Rounded up or down at random, so that the mean stays."""
    return values if not steps else np.floor(values * steps + random.random(len(values))) / steps


def rare_harm(share: float, gain: float = 0.0) -> Draw:
    """The same answers, slightly better by `gain`, but for a rare share that falls to nothing."""

    def draw(random: Random, size: int) -> tuple[np.ndarray, np.ndarray]:
        base = random.beta(12, 4, size)
        other = base + (1 - base) * gain + random.normal(0, 0.01, size)
        return np.where(random.random(size) < share, 0.0, np.clip(other, 0, 1)), base

    return draw


def clustered(shift: float, repetitions: int) -> Draw:
    """Pass or fail, asked `repetitions` times: examples differ in how often they pass, and so do the sides."""

    def draw(random: Random, size: int) -> tuple[np.ndarray, np.ndarray]:
        chance = random.beta(4, 1.5, size)
        moved = np.clip(chance * (1 + shift / (4 / 5.5)), 0, 1)
        return tuple((random.random((size, repetitions)) < p[:, None]).astype(float) for p in (moved, chance))

    return draw


def article(random: Random, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A tenth better on average, and a third worse in the worst tenth: most answers gain, one in ten falls far."""
    base = random.beta(5, 2, size)
    other = base + (1 - base) * 0.45 + random.normal(0, 0.03, size)
    return np.clip(np.where(random.random(size) < 0.1, base * 0.35, other), 0, 1), base


BETTER, FOR = frozenset({Verdict.BETTER}), frozenset(FAVOR)
WORLDS = (
    World("binary, no difference, 10 % differ", binary(0.8, 0.05, 0.05), BETTER),
    World("binary, no difference, 2 % differ", binary(0.9, 0.01, 0.01), BETTER),
    World("binary, at the margin, 2 % differ", binary(0.9, 0.0, 0.02), FOR),
    World("binary, at the margin, 6 % differ", binary(0.8, 0.02, 0.04), FOR),
    World("binary, at the margin, 30 % differ", binary(0.6, 0.14, 0.16), FOR),
    World("graded, no difference, skewed", graded(0.0, 0.2), BETTER),
    World("graded, no difference, very skewed", graded(0.0, 0.5, a=9, b=0.6), BETTER),
    World("graded, no difference, five steps", graded(0.0, 0.2, ties=4), BETTER),
    World("graded, at the margin, skewed", graded(-0.02, 0.2), FOR),
    World("graded, at the margin, little noise", graded(-0.02, 0.03), FOR),
    World("graded, at the margin, very skewed", graded(-0.02, 0.5, a=9, b=0.6), FOR),
    World("graded, at the margin, five steps", graded(-0.02, 0.2, ties=4), FOR),
    World("graded, 3 % fall to nothing", rare_harm(0.03), FOR),
    World("graded, better but 4 % fall to nothing", rare_harm(0.04, 0.15), FOR),
    World("five repetitions, no difference", clustered(0.0, 5), BETTER),
    World("five repetitions, at the margin", clustered(-0.02, 5), FOR),
    World("better on average, worse in the tail", article, FOR),
    World("found: worse in the tail", article, right=frozenset({Verdict.WORSE_IN_THE_TAIL, Verdict.WORSE})),
    World("found: the same, graded", graded(0.0, 0.1), right=FOR),
    World("found: 8 points better, graded", graded(0.08, 0.1), right=BETTER),
    World("found: 8 points better, binary", binary(0.7, 0.10, 0.02), right=BETTER),
    World("found: 8 points worse, binary", binary(0.8, 0.02, 0.10), right=frozenset({Verdict.WORSE})),
)


def shares(world: World, size: int, simulations: int) -> Counter[Verdict]:
    """How often each verdict came out, repeatably."""
    random = np.random.default_rng(zlib.crc32(f"{world.name} {size}".encode()))
    counts: Counter[Verdict] = Counter()
    for _ in range(simulations):
        candidate, baseline = (_as_rows(side) for side in world.draw(random, size))
        counts[verdict_of(candidate, baseline, SETTINGS)] += 1
    return counts


def _as_rows(side: np.ndarray) -> list[list[float]]:
    return (side if side.ndim == 2 else side[:, None]).tolist()


def main() -> int:
    """Print the table; 1 when a verdict is false too often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2_000)
    parser.add_argument("--only", default="", help="only worlds whose name has this in it")
    parser.add_argument("--sizes", type=int, nargs="*")
    told = parser.parse_args()
    bound, failed = 1 - SETTINGS.level, 0
    sizes = told.sizes or WORLDS[0].sizes
    print(f"{told.simulations} simulations; share of false verdicts (bound {bound:.0%}), or of found ones")
    print(f"{'world':42}" + "".join(f"{size:>8}" for size in sizes) + f"{'seconds':>10}")
    for world in (each for each in WORLDS if told.only in each.name):
        start, cells = time.perf_counter(), []
        for size in sizes:
            counts = shares(world, size, told.simulations)
            share = sum(counts[verdict] for verdict in world.wrong or world.right) / told.simulations
            failed += bool(world.wrong) and share > bound
            cells.append(f"{share:>8.2%}")
        print(f"{world.name:42}" + "".join(cells) + f"{time.perf_counter() - start:>10.1f}", flush=True)
    print("too often false" if failed else "every bound is kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
