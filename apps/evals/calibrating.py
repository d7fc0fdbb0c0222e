"""How a judge agrees with people, as figures. Nothing is read or written here.

Kappa is Cohen's (1960), weighted kappa Cohen's (1968) with weights that fall with the square of the distance; their
standard errors are the large-sample ones of Fleiss, Cohen and Everitt (1969). Shares have Wilson's interval (1927),
rank correlation is Spearman's (1904), and position bias is judged by the exact binomial test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

LEAST_ITEMS = 50
LEAST_JUDGED = 0.95
DEFAULT_FLOOR = 0.6
Z = 1.959963984540054
"""Of the standard normal, for intervals of 95 %."""

Table = list[list[int]]
"""Counts: rows are what people said, columns what the judge said, both in the order of the categories."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval of 95 %; None where it cannot be computed."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How one category was recognized. None where a division by zero would be."""

    label: str
    people: int
    judge: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Position:
    """What the order of two answers does to a pairwise judge.

    `same` is the share of pairs with one winner in both orders, `first_wins` the share of decided calls that the answer
    in first place won, with the exact two-sided `p_value` of that against one half. `first_order_kappa` and `accuracy`
    look at single calls: the kappa of the first order alone, and the share of both orders' calls that people agree
    with.
    """

    pairs: int
    same: float
    first_wins: float | None
    calls: int
    p_value: float | None
    accuracy: float
    first_order_kappa: float | None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How far people agree with each other: over all pairs of people who labeled the same item.

    `kappa` takes each pair both ways round, so that no person comes first (Scott's pi, 1955, pooled over people).
    """

    items: int
    pairs: int
    agreement: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """A judge beside people. `judged` of `items` got a verdict and had a label that people agree on.

    `kappa` decides: weighted when the scale has grades, which `is_weighted` says.
    """

    items: int
    judged: int
    failed: int
    undecided: int
    categories: tuple[str, ...]
    table: Table
    agreement: Estimate | None
    kappa: Estimate | None
    is_weighted: bool
    plain_kappa: float | None
    classes: tuple[ClassFigures, ...]
    spearman: float | None
    position: Position | None
    ceiling: Ceiling | None

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


def figures_from_dict(told: Mapping[str, Any]) -> Figures:
    """What `as_dict` gave."""

    def estimate(name: str) -> Estimate | None:
        return None if told[name] is None else Estimate(**told[name])

    return Figures(
        **{
            **told,
            "categories": tuple(told["categories"]),
            "agreement": estimate("agreement"),
            "kappa": estimate("kappa"),
            "classes": tuple(ClassFigures(**one) for one in told["classes"]),
            "position": None if told["position"] is None else Position(**told["position"]),
            "ceiling": None if told["ceiling"] is None else Ceiling(**told["ceiling"]),
        }
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One item: what each person said, and what the judge said (None: no verdict).

    `orders` are a pairwise judge's winners in the two orders; `number` the judge's value where it gives any in 0..1,
    and `human_number` that of people, for rank correlation.
    """

    people: tuple[str, ...]
    judge: str | None
    orders: tuple[str, str] | None = None
    number: float | None = None
    human_number: float | None = None


def figures(items: Sequence[Judged], categories: Sequence[str], *, is_ordinal: bool) -> Figures:
    """Everything that is said of a judge. `categories` are in the order of their values where that matters."""
    agreed = [(consensus(item.people, categories, is_ordinal=is_ordinal), item) for item in items]
    usable = [(label, item) for label, item in agreed if label is not None and item.judge in categories]
    pairs = [(label, str(item.judge)) for label, item in usable]
    table = confusion(pairs, categories)
    plain = kappa(table)
    return Figures(
        items=len(items),
        judged=len(pairs),
        failed=sum(item.judge is None for item in items),
        undecided=sum(label is None for label, _ in agreed),
        categories=tuple(categories),
        table=table,
        agreement=wilson(sum(one == other for one, other in pairs), len(pairs)),
        kappa=kappa(table, is_weighted=True) if is_ordinal else plain,
        is_weighted=is_ordinal,
        plain_kappa=None if plain is None else plain.value,
        classes=class_figures(table, categories),
        spearman=_rank_correlation(usable, categories, is_ordinal=is_ordinal),
        position=position([(label, item.orders) for label, item in usable if item.orders is not None], categories),
        ceiling=ceiling([item.people for item in items], categories, is_weighted=is_ordinal),
    )


def license_of(found: Figures, floor: float) -> tuple[bool, str]:
    """Whether the judge may gate, and why in a sentence.

    It may when at least 50 items count, at least 95 % of the items that people agree on got a verdict, and the lower
    end of kappa's interval of 95 % is at or above the floor: kappa itself may be above it by luck.
    """
    if found.judged < LEAST_ITEMS:
        return False, f"{found.judged} items count; at least {LEAST_ITEMS} are needed."
    wanted = found.items - found.undecided
    if found.judged < LEAST_JUDGED * wanted:
        return False, f"The judge gave a verdict on {found.judged} of {wanted} items; {LEAST_JUDGED:.0%} are needed."
    if found.kappa is None or found.kappa.low is None:
        return False, "Kappa cannot be computed: all labels, or all verdicts, are the same."
    told = f"kappa is {found.kappa.value:.2f}, at least {found.kappa.low:.2f} (95 %), and the floor is {floor:.2f}"
    if found.kappa.low < floor:
        return False, f"Below the floor: {told}."
    return True, f"Above the floor: {told}."


def consensus(people: Sequence[str], categories: Sequence[str], *, is_ordinal: bool) -> str | None:
    """The label that people agree on: given by most of them; of grades, else the middle one of an odd number. None when
    there is none, or when somebody used a label that is no category."""
    if not people or any(label not in categories for label in people):
        return None
    (first, count), *others = Counter(people).most_common()
    if not others or others[0][1] < count:
        return first
    if is_ordinal and len(people) % 2:
        return sorted(people, key=list(categories).index)[len(people) // 2]
    return None


def confusion(pairs: Sequence[tuple[str, str]], categories: Sequence[str]) -> Table:
    """How often people said one and the judge the other."""
    place = {label: index for index, label in enumerate(categories)}
    table = [[0] * len(categories) for _ in categories]
    for people, judge in pairs:
        table[place[people]][place[judge]] += 1
    return table


def kappa(table: Sequence[Sequence[float]], *, is_weighted: bool = False) -> Estimate | None:
    """Agreement beyond chance, with the interval of 95 % from its large-sample standard error.

    With weights w, observed share p_o and share by chance p_e (Fleiss, Cohen and Everitt, 1969):
    var = (sum p_ij (w_ij - (w_i. + w_.j)(1 - kappa))^2 - (kappa - p_e (1 - kappa))^2) / (n (1 - p_e)^2).
    None for an empty table and where chance alone agrees always.
    """
    size, total = range(len(table)), sum(map(sum, table))
    if not total:
        return None
    share = [[count / total for count in row] for row in table]
    rows, columns = [math.fsum(row) for row in share], [math.fsum(row[j] for row in share) for j in size]
    weight = weights(len(table), is_weighted=is_weighted)
    observed = math.fsum(weight[i][j] * share[i][j] for i in size for j in size)
    chance = math.fsum(weight[i][j] * rows[i] * columns[j] for i in size for j in size)
    if 1 - chance < 1e-12:
        return None
    value = (observed - chance) / (1 - chance)
    row_weight = [math.fsum(weight[i][j] * columns[j] for j in size) for i in size]
    column_weight = [math.fsum(weight[i][j] * rows[i] for i in size) for j in size]
    spread = math.fsum(
        share[i][j] * (weight[i][j] - (row_weight[i] + column_weight[j]) * (1 - value)) ** 2 for i in size for j in size
    )
    variance = (spread - (value - chance * (1 - value)) ** 2) / (total * (1 - chance) ** 2)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0))


def weights(count: int, *, is_weighted: bool) -> list[list[float]]:
    """Full agreement is 1. Unweighted, all else is 0; weighted, it falls with the square of the distance."""
    most = max(count - 1, 1)
    if not is_weighted:
        return [[float(i == j) for j in range(count)] for i in range(count)]
    return [[1 - ((i - j) / most) ** 2 for j in range(count)] for i in range(count)]


def wilson(hits: int, total: int) -> Estimate | None:
    """A share with Wilson's score interval of 95 %."""
    if not total:
        return None
    share, square = hits / total, Z * Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def class_figures(table: Table, categories: Sequence[str]) -> tuple[ClassFigures, ...]:
    """Precision and recall of each category, people's labels being right."""
    found = []
    for index, label in enumerate(categories):
        hits, people = table[index][index], sum(table[index])
        judge = sum(row[index] for row in table)
        found.append(
            ClassFigures(label, people, judge, hits / judge if judge else None, hits / people if people else None)
        )
    return tuple(found)


def position(calls: Sequence[tuple[str, tuple[str, str]]], categories: Sequence[str]) -> Position | None:
    """What the order does, from people's winner and the judge's winners in both orders: `output` stood first in the
    first order and `other` in the second."""
    if not calls:
        return None
    first_place = ("output", "other")
    decided = [(winner, place) for _, orders in calls for place, winner in enumerate(orders) if winner != "tie"]
    wins = sum(winner == first_place[place] for winner, place in decided)
    first_order = kappa(confusion([(people, orders[0]) for people, orders in calls], categories))
    return Position(
        pairs=len(calls),
        same=sum(one == two for _, (one, two) in calls) / len(calls),
        first_wins=wins / len(decided) if decided else None,
        calls=len(decided),
        p_value=_binomial_p(wins, len(decided)),
        accuracy=sum(winner == people for people, orders in calls for winner in orders) / (2 * len(calls)),
        first_order_kappa=None if first_order is None else first_order.value,
    )


def _binomial_p(hits: int, total: int) -> float | None:
    """The exact two-sided p-value against one half."""
    if not total:
        return None
    from scipy.stats import binomtest

    return float(binomtest(hits, total, 0.5).pvalue)


def ceiling(people: Sequence[Sequence[str]], categories: Sequence[str], *, is_weighted: bool) -> Ceiling | None:
    """How far people agree with each other; None when no item was labeled by two."""
    place = {label: index for index, label in enumerate(categories)}
    table = [[0.0] * len(categories) for _ in categories]
    several = [labels for labels in people if len(labels) > 1 and all(label in place for label in labels)]
    pairs = [pair for labels in several for pair in combinations(labels, 2)]
    if not pairs:
        return None
    for one, other in pairs:
        table[place[one]][place[other]] += 0.5
        table[place[other]][place[one]] += 0.5
    found = kappa(table, is_weighted=is_weighted)
    same = sum(one == other for one, other in pairs)
    return Ceiling(len(several), len(pairs), same / len(pairs), None if found is None else found.value)


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, ties sharing ranks; None for fewer than three pairs, or a side without a spread."""
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    if len(pairs) < 3 or len(set(ones)) < 2 or len(set(others)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(ones, others).statistic)


def _rank_correlation(
    usable: Sequence[tuple[str, Judged]], categories: Sequence[str], *, is_ordinal: bool
) -> float | None:
    """Of the numbers where both sides have some, else of the grades."""
    numbers = [
        (item.human_number, item.number)
        for _, item in usable
        if item.number is not None and item.human_number is not None
    ]
    if numbers and len(numbers) == len(usable):
        return spearman([(float(human), float(judge)) for human, judge in numbers])
    if not is_ordinal:
        return None
    place = {label: float(index) for index, label in enumerate(categories)}
    return spearman([(place[label], place[str(item.judge)]) for label, item in usable])
