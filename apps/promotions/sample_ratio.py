"""Whether subjects fell into the arms as their weights say, checked at every look without raising false alarms.

The test is the sequential multinomial test of Lindon and Malek (2020, "Anytime-valid inference for multinomial count
data"): the Bayes factor of a Dirichlet mixture around the planned weights against the weights themselves. One over it
is a p-value that holds at every look. The plain chi-square test is beside it for those who know it; it decides nothing,
because looked at often enough it always rejects. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from apps.promotions.experiment_figures import RatioArm, RatioState, SampleRatio

ALPHA = 0.01
"""At most so many experiments without a fault are ever called broken."""

CONCENTRATION = 400.0
"""How tight the mixture lies around the planned weights: it looks for shares that are off by some hundredths."""

MINIMUM_SUBJECTS = 50
"""Before so many subjects came, nothing is said."""


def check(names: Sequence[str], weights: Sequence[int], found: Sequence[int]) -> SampleRatio:
    """The check of these arms; weights in any unit, each above zero."""
    total, whole = sum(found), sum(weights)
    expected = [total * weight / whole for weight in weights]
    arms = tuple(RatioArm(*one) for one in zip(names, expected, found, strict=True))
    if total < MINIMUM_SUBJECTS:
        words = f"Fewer than {MINIMUM_SUBJECTS} subjects: too few to say whether they fell as planned."
        return SampleRatio(arms, None, None, RatioState.TOO_FEW, words)
    p_value = sequential_p(weights, found)
    is_broken = p_value < ALPHA
    told = ", ".join(f"{one.name} {one.found:,} of {one.expected:,.0f}" for one in arms)
    sentence = (
        f"Subjects did not fall into the arms as planned ({told}): something drops or doubles them, and no difference "
        "can be trusted."
        if is_broken
        else f"Subjects fell into the arms as planned ({told})."
    )
    state = RatioState.BROKEN if is_broken else RatioState.OK
    return SampleRatio(arms, p_value, chi_square_p(expected, found), state, sentence)


def sequential_p(weights: Sequence[int], found: Sequence[int]) -> float:
    """The always-valid p-value of counts against weights."""
    whole, total = sum(weights), sum(found)
    shares = [weight / whole for weight in weights]
    log_factor = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + total)
    for share, count in zip(shares, found, strict=True):
        before = CONCENTRATION * share
        log_factor += math.lgamma(before + count) - math.lgamma(before) - count * math.log(share)
    return min(1.0, math.exp(-max(0.0, log_factor)))


def chi_square_p(expected: Sequence[float], found: Sequence[int]) -> float:
    """Pearson's chi-square test of counts, looked at once."""
    from scipy import stats

    return float(stats.chisquare(found, expected).pvalue)
