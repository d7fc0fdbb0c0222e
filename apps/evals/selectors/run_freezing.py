"""What a run will measure, looked up once and frozen: prompt, model, parameters, examples, scorers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from apps.accounts.models import User
from apps.core.errors import DomainError, Invalid, NotFound
from apps.evals.models import EvalSet, Gate, Revision, ScorerVersion
from apps.evals.requests import needed_names
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import scorers as scorer_selectors
from apps.evals.selectors import sets as set_selectors
from apps.evals.types import ReviewState, RunKind, RunSpec
from apps.projects.models import Project
from apps.prompts.content import Content, content_from_dict, content_hash
from apps.prompts.models import Version
from apps.prompts.selectors import prompts, versions
from apps.prompts.services import resolving
from apps.providers.calls import Target
from apps.providers.selectors.connections import target_for
from apps.providers.selectors.prices import price_book

DRAFT = "draft"
MOST_CONCURRENCY, MOST_REPETITIONS, MOST_RESULTS, MOST_SCORERS = 200, 20, 500_000, 50

SELECTED = """
FROM evals_example WHERE eval_set_id = %(eval_set)s
  AND since <= %(revision)s AND (until IS NULL OR until > %(revision)s)
  AND state = ANY (%(states)s) AND (cardinality(%(slices)s::varchar[]) = 0 OR slices && %(slices)s::varchar[])
"""
MISSING = """
SELECT wanted.name, count(*), min(example.key) FROM
  (SELECT key, variables, messages, context {selected}) AS example,
  unnest(%(names)s::text[], %(by_messages)s::boolean[], %(by_context)s::boolean[])
    AS wanted (name, by_messages, by_context)
WHERE coalesce(example.variables -> wanted.name, 'null'::jsonb) = 'null'::jsonb
  AND NOT (wanted.by_messages AND example.messages IS NOT NULL)
  AND NOT (wanted.by_context AND jsonb_array_length(example.context) > 0)
GROUP BY wanted.name ORDER BY wanted.name
"""


class NothingSelected(DomainError):
    """No example of the set would be run."""

    code, http_status = "nothing_selected", 422


class NoPrice(DomainError):
    """There is a budget, and nobody knows what a call costs."""

    code, http_status = "no_price", 422
    message = (
        "Nobody knows what a call of {model} costs, so a budget cannot be kept. Put its price in under Settings, "
        "Prices, or start the run without a budget."
    )


@dataclass(frozen=True, slots=True)
class Frozen:
    """Everything that a run keeps of what it was asked for."""

    spec: RunSpec
    eval_set: EvalSet
    revision: Revision
    examples: int
    scorers: tuple[tuple[ScorerVersion, float], ...]
    gate: Gate | None
    content: Content | None = None
    content_hash: str = ""
    version: Version | None = None
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    provider: str = ""

    @property
    def parameters(self) -> dict[str, object]:
        """Those of the run, or else the prompt's."""
        if self.spec.parameters is not None:
            return dict(self.spec.parameters)
        return {} if self.content is None else dict(self.content.parameters)

    @property
    def selection(self) -> dict[str, Any]:
        """What `SELECTED` is asked with."""
        return selection(self.eval_set, self.revision.number, self.spec)


def selection(eval_set: EvalSet, revision: int, spec: RunSpec) -> dict[str, Any]:
    """The parameters of `SELECTED`."""
    states = [ReviewState.APPROVED.value, *([ReviewState.DRAFT.value] if spec.with_drafts else [])]
    return {"eval_set": eval_set.pk, "revision": revision, "states": states, "slices": list(spec.slices)}


def freeze(project: Project, spec: RunSpec, *, author: User | None, now: datetime) -> Frozen:
    """Look everything up. Raises NotFound, Invalid, NothingSelected, NoPrice, NoConnection, or what a draft that cannot
    be rendered raises."""
    _check_numbers(spec)
    eval_set = set_selectors.get_set(project, spec.eval_set)
    if eval_set.archived_at is not None:
        raise Invalid(f"The eval set {eval_set.slug} is archived. Restore it, or choose another one.", eval_set=[])
    revision = set_selectors.get_revision(eval_set, spec.revision or eval_set.head) if eval_set.head else None
    examples = 0 if revision is None else _count(selection(eval_set, revision.number, spec))
    if revision is None or examples == 0:
        raise _nothing(eval_set, revision, spec)
    if examples * spec.repetitions > MOST_RESULTS:
        raise Invalid(
            f"{examples} examples, {spec.repetitions} times each, are more than {MOST_RESULTS} answers. Choose slices, "
            "or fewer repetitions.",
            repetitions=[],
        )
    frozen = Frozen(
        spec=spec,
        eval_set=eval_set,
        revision=revision,
        examples=examples,
        scorers=tuple(scorer_selectors.resolve_choices(project, spec.scorers)),
        gate=_gate(project, eval_set, spec.gate),
    )
    _check_scorers(frozen)
    if spec.kind is RunKind.OUTPUTS:
        return replace(frozen, prompt_name=spec.prompt, prompt_version=spec.version, model=spec.model)
    return _with_prompt(project, frozen, author, now)


def _with_prompt(project: Project, frozen: Frozen, author: User | None, now: datetime) -> Frozen:
    spec = frozen.spec
    if not spec.prompt:
        raise Invalid("Choose the prompt that the run shall measure.", prompt=["Choose a prompt."])
    prompt = prompts.get_prompt(project, spec.prompt)
    version: Version | None = None
    if spec.version == DRAFT:
        draft = prompts.get_draft(prompt, author) if author is not None else None
        if draft is None:
            raise NotFound(f"You have no draft of {prompt.name}. Save one, or choose a version.")
        resolved = resolving.resolve(project_id=project.pk, content=draft.body)
        content = replace(resolved.content, messages=resolved.messages)
        hashed, number = content_hash(content), DRAFT
    else:
        version = versions.get_version(prompt, spec.version or versions.LATEST)
        content = content_from_dict({**version.content, "messages": version.resolved})
        hashed, number = version.content_hash, str(version.number)
    model = spec.model.strip() or content.model
    if not model:
        raise Invalid(f"{prompt.name} names no model. Choose one.", model=["Choose a model."])
    target = target_for(project, model)
    if spec.budget_usd is not None and not is_priced(project, target, now):
        raise NoPrice(model=model)
    done = replace(
        frozen,
        content=content,
        content_hash=hashed,
        version=version,
        prompt_name=prompt.name,
        prompt_version=number,
        model=model,
        provider=target.provider,
    )
    _check_variables(done)
    return done


def is_priced(project: Project, target: Target, now: datetime) -> bool:
    """True when the cost of a call can be known."""
    return price_book.price_for(project.pk, target.provider or None, target.model, now) is not None


def _check_numbers(spec: RunSpec) -> None:
    problems: dict[str, list[str]] = {}
    if not 1 <= spec.concurrency <= MOST_CONCURRENCY:
        problems["concurrency"] = [f"Between 1 and {MOST_CONCURRENCY} calls at once."]
    if not 1 <= spec.repetitions <= MOST_REPETITIONS:
        problems["repetitions"] = [f"Between 1 and {MOST_REPETITIONS} repetitions."]
    if spec.budget_usd is not None and spec.budget_usd <= 0:
        problems["budget_usd"] = ["A budget is more than 0, or left out."]
    if not spec.scorers:
        problems["scorers"] = ["Choose at least one scorer."]
    if len(spec.scorers) > MOST_SCORERS:
        problems["scorers"] = [f"At most {MOST_SCORERS} scorers."]
    if problems:
        raise Invalid(" ".join(sentence for found in problems.values() for sentence in found), **problems)


def _check_scorers(frozen: Frozen) -> None:
    slugs = [version.scorer.slug for version, _ in frozen.scorers]
    if twice := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
        raise Invalid(f"Choose one version of {', '.join(twice)}.", scorers=[f"More than one version of {twice[0]}."])
    pairwise = [version.scorer.slug for version, _ in frozen.scorers if KINDS[version.scorer.kind].is_pairwise]
    if pairwise:
        sentence = f"{pairwise[0]} compares two runs; it is asked for in a comparison, not in a run."
        raise Invalid(sentence, scorers=[sentence])


def _gate(project: Project, eval_set: EvalSet, slug: str) -> Gate | None:
    if not slug:
        return None
    gate = Gate.objects.filter(project=project, slug=slug, archived_at=None).first()
    if gate is None:
        raise NotFound(f"There is no gate {slug} in this project.")
    if gate.eval_set_id != eval_set.pk:
        raise Invalid(f"The gate {slug} is about another eval set.", gate=["It is about another eval set."])
    return gate


def _count(chosen: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) " + SELECTED, chosen)
        return int(cursor.fetchone()[0])


def _nothing(eval_set: EvalSet, revision: Revision | None, spec: RunSpec) -> NothingSelected:
    if revision is None or revision.examples == 0:
        return NothingSelected(f"The eval set {eval_set.slug} has no examples. Add some, then start the run.")
    if spec.slices:
        return NothingSelected(
            f"No approved example of {eval_set.slug} is in the slices {', '.join(spec.slices)}. Choose others, or "
            "include drafts."
        )
    return NothingSelected(
        f"{eval_set.slug} has {revision.examples} examples and none that is approved. Approve some, or include drafts."
    )


def _check_variables(frozen: Frozen) -> None:
    """Raise Invalid when an example gives no value for a variable that the prompt needs."""
    assert frozen.content is not None
    needed = needed_names(frozen.content)
    if not needed:
        return
    names, by_messages, by_context = (list(one) for one in zip(*needed, strict=True))
    with connection.cursor() as cursor:
        asked = {**frozen.selection, "names": names, "by_messages": by_messages, "by_context": by_context}
        cursor.execute(MISSING.format(selected=SELECTED), asked)
        found = cursor.fetchall()
    sentences = [
        f"{count} of {frozen.examples} examples give no value for {name}, such as {key}." for name, count, key in found
    ]
    if sentences:
        raise Invalid(
            f"{frozen.prompt_name} needs values that examples of {frozen.eval_set.slug} do not give. "
            + " ".join(sentences[:5]),
            variables=sentences,
        )
