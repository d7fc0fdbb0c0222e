"""What a kind of scorer is, and what one that asks models may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from apps.core.errors import DomainError
from apps.evals.types import Case, Json, Score
from apps.providers.calls import ModelReply, ModelRequest

Config = Mapping[str, Json]


class BadConfig(DomainError):
    """The settings of a scorer cannot be used; `details` maps fields to sentences."""

    code, http_status = "invalid", 422
    message = "One or more settings of the scorer need a change."

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.details = {name: list(sentences) for name, sentences in problems.items()}


class FieldType(StrEnum):
    """How a setting is asked for in a form."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    LIST = "list"
    JSON = "json"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Field:
    """A setting of a scorer, as forms and documents show it."""

    name: str
    label: str
    type: FieldType = FieldType.TEXT
    default: Json = None
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A model's reply to a scorer, and what it cost; None when that is not known."""

    reply: ModelReply
    cost_usd: Decimal | None


class Asker(Protocol):
    """The way from a scorer to models: it counts the cost, keeps to the budget and tells telemetry (source `judge`).

    Both raise a ProviderError as `apps.providers.client` does.
    """

    async def ask(self, model: str, request: ModelRequest) -> Asked:
        """The whole answer of the model."""
        ...

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """One vector for each text."""
        ...

    async def post(self, url: str, body: Mapping[str, Any], *, secret: str, seconds: float) -> Json:
        """The JSON that an outside scorer answers. Raises EgressRefused, or a DomainError that says what was wrong."""
        ...


@dataclass(frozen=True, slots=True)
class ScorerKind:
    """A kind of scorer. Exactly one of `score` (computed) and `ask` (asks a model or a service) is set.

    `read` checks settings and writes out defaults, and raises BadConfig. `score` and `ask` never raise for what is in a
    case: an output that cannot be judged is a score of 0 with the reason when that is the output's fault, `not_scored`
    when the scorer does not apply (nothing expected, no documents), and `scorer_failed` when the scorer itself failed.
    """

    name: str
    title: str
    about: str
    group: str
    """`text`, `numbers`, `json`, `tools`, `similarity`, `classes`, `retrieval`, `agent`, `limits`, `judge` or `own`."""
    fields: tuple[Field, ...]
    read: Callable[[Config], Config]
    score: Callable[[Case, Config], Score] | None = None
    ask: Callable[[Case, Config, Asker], Awaitable[Score]] | None = None
    needs: frozenset[str] = frozenset()
    """Of `expected`, `context`, `tool_calls`, `steps`, `other_output`: without them there is no score."""
    is_judge: bool = False
    """True when it may gate only after it was calibrated."""
    is_pairwise: bool = False
