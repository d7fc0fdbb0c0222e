"""How often an experiment names a winner where there is none, when somebody looks after every 100 observations.

    python benchmarks/abtest.py [--simulations 1000] [--only binary] [--plan]

Each line is a world without any difference (an A/A test), except the last ones, which have the effect that was planned
for. `wrong` is the share of simulated experiments in which the interval left zero out at any look, in any direction;
`winner` where it said better. Both must stay at or below 5 %. Beside it the same with the plain interval that is meant
for one look (1.96 standard errors), which breaks that by far: the worlds are able to show a wrong method. Exit status 1
when a share is above its bound by more than its own noise. With `--plan`: the factor that planning uses.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.promotions import planning, sequential
from apps.promotions.sample_ratio import ALPHA as RATIO_ALPHA
from apps.promotions.sample_ratio import sequential_p
from apps.promotions.sequential import Sample

Random = np.random.Generator
Draw = Callable[[Random, int], np.ndarray]
EACH = 100
LEVEL = 0.05


@dataclass(frozen=True)
class World:
    """How a subject's value comes about, how many subjects come, and how they are split; `effect` is added by how."""

    name: str
    draw: Draw
    subjects: int
    weights: tuple[float, ...] = (0.5, 0.5)
    is_share: bool = True
    planned: int | None = None
    treated: Draw | None = None


def binary(rate: float) -> Draw:
    """One or nothing."""
    return lambda random, size: (random.random(size) < rate).astype(float)


def skewed(sigma: float, mean: float = 0.004) -> Draw:
    """Costs: lognormal, most of them small and a few large."""
    return lambda random, size: random.lognormal(math.log(mean) - sigma**2 / 2, sigma, size)


def several(rate: float) -> Draw:
    """The share of a subject's calls that failed: 1 to 20 calls or so, of a rate of its own."""

    def draw(random: Random, size: int) -> np.ndarray:
        calls = random.geometric(0.25, size)
        return random.binomial(calls, random.beta(rate * 8, (1 - rate) * 8, size)) / calls

    return draw


WORLDS = (
    World("2 % of subjects", binary(0.02), 5_000),
    World("30 % of subjects", binary(0.30), 5_000),
    World("30 %, at most 400 subjects", binary(0.30), 400),
    World("2 %, one in ten treated", binary(0.02), 5_000, (0.9, 0.1)),
    World("share of calls, 5 %", several(0.05), 5_000),
    World("skewed cost", skewed(1.0), 5_000, is_share=False),
    World("skewed cost, at most 400", skewed(1.0), 400, is_share=False),
    World("very skewed cost", skewed(1.5), 5_000, is_share=False),
    World("very skewed, one in ten", skewed(1.5), 5_000, (0.9, 0.1), is_share=False),
    World("10 %, three treatments", binary(0.10), 8_000, (0.25, 0.25, 0.25, 0.25)),
)


@dataclass(frozen=True)
class Outcome:
    """What one experiment came to: the look (1, 2, ...) at which each method first left zero out; 0: never."""

    found: int
    is_winner: bool
    naive: int
    broken: bool


def one_experiment(world: World, random: Random, each: int = EACH) -> Outcome:
    """Subjects come one after the other and are looked at after each hundred."""
    arms = random.choice(len(world.weights), world.subjects, p=world.weights)
    values = world.draw(random, world.subjects)
    if world.treated is not None:
        values = np.where(arms == 1, world.treated(random, world.subjects), values)
    ends = np.arange(each, world.subjects + 1, each)
    counts, sums, squares = (np.empty((len(world.weights), len(ends))) for _ in range(3))
    for arm in range(len(world.weights)):
        mine = arms == arm
        counts[arm] = np.cumsum(mine)[ends - 1]
        sums[arm] = np.cumsum(values * mine)[ends - 1]
        squares[arm] = np.cumsum(values**2 * mine)[ends - 1]
    found = naive = 0
    winner = broken = False
    for place in range(len(ends)):
        samples = [
            _sample(*column, world.is_share)
            for column in zip(counts[:, place], sums[:, place], squares[:, place], strict=True)
        ]
        told = _leaves_zero(samples, world)
        if told and not found:
            found, winner = place + 1, told > 0
        naive = naive or (place + 1 if _plain_leaves_zero(samples, len(world.weights) - 1) else 0)
        broken = (
            broken
            or sequential_p([round(10_000 * one) for one in world.weights], [int(one) for one in counts[:, place]])
            < RATIO_ALPHA
        )
    return Outcome(found, winner, naive, broken)


def _sample(count: float, total: float, square: float, is_share: bool) -> Sample:
    size = int(count)
    mean = total / size if size else 0.0
    variance = max(0.0, square - size * mean**2) / (size - 1) if size > 1 else 0.0
    return Sample(size, mean, variance, is_share)


def _leaves_zero(samples: Sequence[Sample], world: World) -> int:
    """1 when an interval lies above zero, -1 below, 0 when none does."""
    alpha = LEVEL / (len(samples) - 1)
    planned = world.planned or world.subjects
    for treatment, weight in zip(samples[1:], world.weights[1:], strict=True):
        of_these = round(planned * (weight + world.weights[0]))
        told = sequential.compare(treatment, samples[0], alpha=alpha, planned=of_these)
        if told is not None and (told.low > 0 or told.high < 0):
            return 1 if told.low > 0 else -1
    return 0


def _plain_leaves_zero(samples: Sequence[Sample], treatments: int) -> bool:
    reach = planning.NormalDist().inv_cdf(1 - LEVEL / treatments / 2)
    for one in samples[1:]:
        if min(one.count, samples[0].count) < sequential.MINIMUM_SUBJECTS:
            continue
        error = math.sqrt(one.variance / one.count + samples[0].variance / samples[0].count)
        if error and abs(one.mean - samples[0].mean) > reach * error:
            return True
    return False


def returning(random: Random, subjects: int = 1_000, calls: int = 20_000) -> Outcome:
    """Subjects who come back: their shares of failed calls go on changing, and no new subjects come after a while."""
    arms = random.integers(0, 2, subjects)
    who = random.choice(subjects, calls, p=random.dirichlet(np.full(subjects, 2.0)))
    failed = random.random(calls) < random.beta(0.8, 7.2, subjects)[who]
    seen, errors = np.zeros(subjects), np.zeros(subjects)
    found, winner, naive = 0, False, 0
    world = World("returning", binary(0), subjects)
    for place, start in enumerate(range(0, calls, EACH)):
        seen += np.bincount(who[start : start + EACH], minlength=subjects)
        errors += np.bincount(who[start : start + EACH], weights=failed[start : start + EACH], minlength=subjects)
        here = seen > 0
        shares = errors[here] / seen[here]
        samples = []
        for arm in (0, 1):
            own = shares[arms[here] == arm]
            samples.append(Sample(len(own), float(own.mean()), float(own.var(ddof=1)), True))
        told = _leaves_zero(samples, world)
        if told and not found:
            found, winner = place + 1, told > 0
        naive = naive or (place + 1 if _plain_leaves_zero(samples, 1) else 0)
    return Outcome(found, winner, naive, False)


def run(world: World, simulations: int) -> list[Outcome]:
    """That many experiments of the world, always the same ones."""
    random = np.random.default_rng(zlib.crc32(world.name.encode()))
    return [one_experiment(world, random) for _ in range(simulations)]


def line(name: str, subjects: int, outcomes: Sequence[Outcome]) -> bool:
    """Print a world without a difference; False when a share is above its bound by more than two standard errors."""
    size = len(outcomes)
    wrong, winner = sum(one.found > 0 for one in outcomes) / size, sum(one.is_winner for one in outcomes) / size
    naive, broken = sum(one.naive > 0 for one in outcomes) / size, sum(one.broken for one in outcomes) / size
    print(
        f"| {name} | {subjects:,} | {100 * winner:.1f} % | {100 * wrong:.1f} % | {100 * naive:.1f} % "
        f"| {100 * broken:.1f} % |",
        flush=True,
    )
    noise = 2 * math.sqrt(LEVEL * (1 - LEVEL) / size)
    return wrong <= LEVEL + noise and broken <= RATIO_ALPHA + 2 * math.sqrt(RATIO_ALPHA / size)


def power(
    name: str, control: Draw, treated: Draw, effect: float, variance: float, simulations: int, is_share: bool
) -> None:
    """Print how often, and how early, the effect that was planned for is found."""
    plan = planning.plan(effect=effect, variance=variance, weights=(5_000, 5_000))
    assert plan is not None
    world = World(name, control, plan.sequential, is_share=is_share, planned=plan.sequential, treated=treated)
    found = [one.found * EACH for one in run(world, simulations)]
    hit = sorted(size for size in found if size)
    middle = sorted(size or plan.sequential for size in found)[len(found) // 2]
    print(
        f"| {name} | {plan.fixed:,} | {plan.sequential:,} | {100 * len(hit) / len(found):.0f} % | {middle:,} |",
        flush=True,
    )


def price(simulations: int = 20_000, steps: int = 200) -> None:
    """Print the factor for the power of 0.8: experiments as Brownian motions, with the boundary tightest at the end."""
    random = np.random.default_rng(6)
    rho2 = sequential.rho_squared(steps, LEVEL)
    ends = np.arange(1, steps + 1)
    reach = np.array([sequential.factor(int(end), rho2, LEVEL) for end in ends])
    walks = np.cumsum(random.standard_normal((simulations, steps)), axis=1) / np.sqrt(ends)
    once = planning.NormalDist().inv_cdf(1 - LEVEL / 2) + planning.NormalDist().inv_cdf(planning.POWER)
    for ratio in np.arange(1.4, 2.2, 0.05):
        drift = once * np.sqrt(ratio / steps) * np.sqrt(ends)
        hits = walks + drift > reach
        first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, steps)
        print(
            f"factor {ratio:.2f}: power {hits.any(axis=1).mean():.3f}, "
            f"median {np.median(first) / steps * ratio:.2f} of the size for one look",
            flush=True,
        )


def main() -> int:
    """Print the tables; 1 when a share of wrong findings is too high."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--plan", action="store_true")
    given = parser.parse_args()
    if given.plan:
        price()
        return 0
    started, fine = time.monotonic(), True
    print("| No difference | Subjects | Winner | Wrong | Plain interval | Ratio called broken |")
    print("|---|--:|--:|--:|--:|--:|")
    for world in WORLDS:
        if given.only in world.name:
            fine = line(world.name, world.subjects, run(world, given.simulations)) and fine
    if given.only in "returning subjects":
        random = np.random.default_rng(9)
        outcomes = [returning(random) for _ in range(given.simulations)]
        fine = line("returning subjects, 20 calls each", 1_000, outcomes) and fine
    print("\n| The planned effect | One look | Planned | Found by then | Half found by |\n|---|--:|--:|--:|--:|")
    power("2 % to 4 %", binary(0.02), binary(0.04), 0.02, 0.03 * 0.97, given.simulations, True)
    power("30 % to 35 %", binary(0.30), binary(0.35), 0.05, 0.325 * 0.675, given.simulations, True)
    spread = 0.004**2 * (math.exp(1) - 1)
    power(
        "cost down by a fifth",
        skewed(1.0),
        skewed(1.0, 0.0032),
        0.0008,
        spread,
        given.simulations,
        False,
    )
    print(f"\n{given.simulations:,} simulations a line, {time.monotonic() - started:.0f} s")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
