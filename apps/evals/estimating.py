"""What a run will take: tokens, cost and time. Pure sums over what a sample of the examples and past calls say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.evals.types import Json

USUAL_ANSWER_TOKENS = 1_000
"""Reserved for an answer while nobody knows better: no `max_tokens`, and too few answers so far."""
ENOUGH_ANSWERS = 20
USUAL_SECONDS = 2.0
"""How long a call takes when the model was not called lately."""
SECONDS_BEFORE_AND_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take. What cannot be known is None.

    `calls` are those of the model without retries, `judge_calls` those of scorers that ask models. `cost_usd` is of
    both; None when one of them has no known price. `from_examples`: so many examples the tokens were taken from.
    """

    examples: int
    calls: int
    judge_calls: int
    input_tokens: int | None
    output_tokens: int | None
    model_usd: Decimal | None
    judge_usd: Decimal | None
    seconds: float | None
    from_examples: int

    @property
    def cost_usd(self) -> Decimal | None:
        """Everything together."""
        return None if self.model_usd is None or self.judge_usd is None else self.model_usd + self.judge_usd

    def as_dict(self) -> dict[str, Json]:
        """As JSON; money as text."""
        money = {"cost_usd": self.cost_usd, "model_usd": self.model_usd, "judge_usd": self.judge_usd}
        return {
            "examples": self.examples,
            "calls": self.calls,
            "judge_calls": self.judge_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "seconds": self.seconds,
            "from_examples": self.from_examples,
            **{name: None if value is None else format(value, "f") for name, value in money.items()},
        }


def most_answer_tokens(parameters: Mapping[str, Json], so_far: Sequence[int] = ()) -> int:
    """The tokens to reserve for an answer: the most that the parameters allow, else the 95th percentile of the answers
    so far when there are 20, else 1,000."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        value = parameters.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    if len(so_far) < ENOUGH_ANSWERS:
        return max([USUAL_ANSWER_TOKENS, *so_far])
    ordered = sorted(so_far)
    return max(1, ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))])


def scaled(total_of_sample: int, sample: int, examples: int) -> int | None:
    """A sum over a sample as the sum over all; None without a sample."""
    return None if sample == 0 else round(total_of_sample * examples / sample)


def seconds_for(calls: int, concurrency: int, seconds_a_call: float) -> float:
    """How long so many calls take, so many at once, in whole rounds."""
    if calls == 0:
        return 0.0
    rounds = -(-calls // max(1, concurrency))
    return rounds * seconds_a_call + SECONDS_BEFORE_AND_AFTER
