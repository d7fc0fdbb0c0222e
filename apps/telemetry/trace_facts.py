"""What a trace tells of its retrievals, its agents' tasks and its tool runs. Pure: spans in, facts out.

All is worked out from all spans of a trace at once, so it does not depend on how and in which order they arrived.

A **task** is the outermost agent span of a branch of the trace; agents within it belong to it, and so do those that it
was handed over to, which some clients report beside it (see `_handed_over`). In a trace without an agent span, a root
with at least one tool run and one model call below it is a task too, and so is a flat trace as a whole (no span has a
parent) under its first span. **Steps** are the task's model calls (counted spans of kind `llm`) and its tool runs.
**Handoffs** are the further agent spans of it, but for one that only repeats the name of the agent around it. **Depth**
is how many levels of spans lie below the task's own.

**Outcome**: `failure` when the task's span or its last step ended in an error, `timeout` when that error's type or
finish reason speaks of a timeout, a deadline or a cancellation, otherwise `success`; unknown while the task has no end.
A score `task_completion` of the task's span, or else of the trace, says better how it ended, and stands.

A task is flagged with a **loop** (see `loop_of`) by the tool calls it made in a row. Where the arguments of no call are
known, so is not whether it looped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from apps.telemetry.utilisation import Answer, Document, identity, utilisation

FACT_KINDS = frozenset({"retriever", "reranker", "tool", "agent"})
"""A trace without a span of these kinds has no facts."""

SUCCESS, FAILURE, TIMEOUT = "success", "failure", "timeout"
OUTCOMES = (SUCCESS, FAILURE, TIMEOUT)

HALF_DONE = 0.5

HANDED_OVER_WITHIN = timedelta(milliseconds=100)

IN_A_ROW = 3
IN_A_TASK = 5
CYCLE_TURNS = 3
LONGEST_CYCLE = 3
REPEATED, OFTEN, CYCLE = "repeated", "often", "cycle"

TOP = 3
MOST_TOOLS = 32
MOST_DOCUMENTS = 512
LONGEST_AGE_S = 10**10

INDEX_NAMES = (
    "index_name",
    "retrieval.index",
    "retrieval.index_name",
    "gen_ai.data_source.id",
    "db.collection.name",
    "vector_store.name",
)
"""Attributes that name the index that was asked, the first that is there counts; else the span's name does."""

AGE_NAMES = ("index_age_s", "retrieval.index_age_s", "gen_ai.data_source.age_s")
"""Attributes with the age of the index in seconds at the time of the retrieval."""

UPDATED_NAMES = ("index_updated_at", "retrieval.index_updated_at", "gen_ai.data_source.updated_at")
"""Attributes with the time when the index was last brought up to date: ISO 8601, or seconds or milliseconds since
1970."""

COUNT_NAMES = ("chunks_retrieved", "retrieval.chunks", "retrieval.documents.count", "gen_ai.retrieval.documents.count")
"""Attributes with the number of documents, for clients that do not send the documents."""

LATE = re.compile(r"time(d)?[\s_.-]?out|deadline|cancel", re.IGNORECASE)


class FactSpan(msgspec.Struct, gc=False):
    """The columns of a span that facts are made of. `arguments` stands for a tool's input, equal for equal inputs."""

    span_id: bytes
    parent_span_id: bytes | None
    started_at: datetime
    client_started_at: datetime
    ended_at: datetime | None
    kind: str
    name: str
    status: str
    counted: bool
    error_type: str
    finish_reason: str
    latency_ms: int | None
    environment: str
    feature: str
    service: str
    model: str
    prompt_name: str
    prompt_version: str
    tool_name: str
    agent_name: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


SPAN_COLUMNS = FactSpan.__struct_fields__


class Content(msgspec.Struct):
    """What of a span's payload facts are made of; None where it was not sent."""

    output: str | None = None
    documents: list[dict[str, Any]] | None = None
    attributes: Mapping[str, Any] = {}
    arguments: str | None = None


class Fact(msgspec.Struct, kw_only=True):
    """What facts of one span begin with."""

    span_id: bytes
    started_at: datetime
    environment: str
    feature: str
    service: str
    name: str
    error_type: str
    latency_ms: int | None


class RetrievalFact(Fact, kw_only=True):
    """One retriever or reranker span; `name` is the index.

    Scores are of its documents (`score`, or for a reranker without it `rerank_score`). `reranked` is how many documents
    have a score of a reranker, `score_before` and `score_after` their means. `mean_shift` is by how many places the
    reranker moved a document on average, `changed_top3` how many of its first three were not among the first three
    before. Everything is None where it is not known.
    """

    kind: str
    model: str
    prompt_name: str
    prompt_version: str
    failed: bool
    chunks: int | None
    top_score: float | None
    mean_score: float | None
    low_score: float | None
    reranked: int | None
    score_before: float | None
    score_after: float | None
    mean_shift: float | None
    changed_top3: int | None
    utilisation: float | None
    utilisation_method: str
    index_age_s: int | None


class TaskFact(Fact, kw_only=True):
    """One task; `name` is the agent's. `loop` is "" for none and None where it cannot be known."""

    model: str
    prompt_name: str
    prompt_version: str
    outcome: str | None
    steps: int
    model_calls: int
    tool_runs: int
    tools: list[str]
    handoffs: int
    loop: str | None
    depth: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int


class ToolFact(Fact, kw_only=True):
    """One run of a tool."""

    agent_name: str
    outcome: str | None


class TraceFacts(msgspec.Struct):
    """All facts of one trace."""

    retrievals: list[RetrievalFact] = []
    tasks: list[TaskFact] = []
    tools: list[ToolFact] = []


MOST_AROUND = 64
"""So far up is an answer looked for; without a bound, a chain of retrievals would take a time that grows squarely."""

MOST_ANSWERS = 4


# --- The tree -----------------------------------------------------------------------------------------------


class Tree:
    """The spans of a trace by where they hang. A span whose parent is not there is a root; rings are broken at their
    earliest span.
    """

    def __init__(self, spans: Iterable[FactSpan]) -> None:
        self.spans = sorted(spans, key=lambda span: (span.client_started_at, span.span_id))
        by_id = {span.span_id: place for place, span in enumerate(self.spans)}
        self.parents: list[int | None] = [
            None
            if span.parent_span_id is None or span.parent_span_id == span.span_id
            else by_id.get(span.parent_span_id)
            for span in self.spans
        ]
        self.order: list[int] = []
        """Every place, parents before their children."""
        self.depths = [0] * len(self.spans)
        self._put_in_order()
        self.agents = self._nearest_agents()
        self.last_models = self._last_models()

    def _put_in_order(self) -> None:
        children: dict[int, list[int]] = {}
        for place, parent in enumerate(self.parents):
            if parent is not None:
                children.setdefault(parent, []).append(place)
        placed = [False] * len(self.spans)
        roots = [place for place, parent in enumerate(self.parents) if parent is None]
        for start in (*roots, *range(len(self.spans))):
            if placed[start]:
                continue
            self.parents[start] = None  # a root already, or the first of a ring
            waiting = [start]
            placed[start] = True
            while waiting:
                place = waiting.pop()
                self.order.append(place)
                for child in children.get(place, []):
                    if not placed[child]:
                        placed[child] = True
                        self.depths[child] = self.depths[place] + 1
                        waiting.append(child)

    def _nearest_agents(self) -> list[int | None]:
        """The agent span around each span, itself not included."""
        found: list[int | None] = [None] * len(self.spans)
        for place in self.order:
            parent = self.parents[place]
            if parent is not None:
                found[place] = parent if self.spans[parent].kind == "agent" else found[parent]
        return found

    def _last_models(self) -> list[int | None]:
        """The model span within each span, itself included, that began last."""
        found: list[int | None] = [place if span.kind == "llm" else None for place, span in enumerate(self.spans)]
        for place in reversed(self.order):
            parent, mine = self.parents[place], found[place]
            if parent is not None and mine is not None:
                theirs = found[parent]
                found[parent] = mine if theirs is None else max(mine, theirs)
        return found

    def ancestors(self, place: int) -> Iterator[int]:
        """The spans around a span, the nearest first, at most MOST_AROUND of them."""
        parent = self.parents[place]
        for _ in range(MOST_AROUND):
            if parent is None:
                return
            yield parent
            parent = self.parents[parent]

    def answers_of(self, place: int) -> list[int]:
        """Where the answer to a retrieval may be, the best place first.

        It is the last model span within the nearest span around the retrieval that has one that began after it; where
        that one has no output, it is what the spans around the retrieval have as theirs.
        """
        around = list(self.ancestors(place))
        for ancestor in around:
            last = self.last_models[ancestor]
            if last is not None and last > place:
                return [last, ancestor, *(each for each in around if each != ancestor)]
        if self.parents[place] is None and (last := self._last_root_model()) is not None and last > place:
            return [last]
        return around

    def _last_root_model(self) -> int | None:
        return max((place for place, span in enumerate(self.spans) if span.kind == "llm"), default=None)


# --- What is wanted of the payloads ------------------------------------------------------------------------


class Wanted(msgspec.Struct):
    """The spans whose payloads the facts of a trace need, by their places in the tree."""

    documents: list[int]
    outputs: list[int]
    tools: list[int]


def wanted(tree: Tree) -> Wanted:
    """Which payloads are to be read before `facts_of` is called."""
    retrievals = [place for place, span in enumerate(tree.spans) if span.kind in ("retriever", "reranker")]
    outputs: set[int] = set()
    for place in retrievals:
        outputs.update(tree.answers_of(place)[:MOST_ANSWERS])
    tools = [place for place, span in enumerate(tree.spans) if span.kind == "tool"]
    return Wanted(retrievals, sorted(outputs), tools)


Judged = Mapping[bytes | None, str]
"""Outcomes that somebody gave, by the id of the task's span; under None that of the trace."""


def facts_of(tree: Tree, contents: Mapping[bytes, Content], judged: Judged | None = None) -> TraceFacts:
    """All facts of the trace; `contents` are payloads by span id."""
    return TraceFacts(
        retrievals=list(_retrievals(tree, contents)),
        tasks=[_judged(task, judged or {}) for task in _tasks(tree, contents)],
        tools=[_tool(tree, place) for place, span in enumerate(tree.spans) if span.kind == "tool"],
    )


def _shared(span: FactSpan, name: str) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "started_at": span.started_at,
        "environment": span.environment,
        "feature": span.feature,
        "service": span.service,
        "name": name[:256],
        "error_type": span.error_type,
        "latency_ms": span.latency_ms,
    }


# --- Retrievals ---------------------------------------------------------------------------------------------


class _Round(msgspec.Struct):
    """The retrievals and rerankings that one answer came after, in their order. `shown` is what was put before the
    model: what the last reranker left, else what all retrievals brought. `before` is what each reranker was given.
    """

    places: list[int] = []
    shown: list[Document] = []
    before: dict[int, list[Document]] = {}


def _retrievals(tree: Tree, contents: Mapping[bytes, Content]) -> Iterator[RetrievalFact]:
    rounds: dict[int | None, _Round] = {}
    for place, span in enumerate(tree.spans):
        if span.kind in ("retriever", "reranker"):
            rounds.setdefault(next(iter(tree.answers_of(place)), None), _Round()).places.append(place)
    for together in rounds.values():
        _follow(together, tree, contents)
        answer = _answer(tree, together.places[0], contents)
        for place in together.places:
            yield _retrieval(tree, place, contents, answer, together)


def _follow(together: _Round, tree: Tree, contents: Mapping[bytes, Content]) -> None:
    """Follow the documents of a round from one step to the next."""
    fresh: list[Document] = []
    is_reranked = False
    for place in together.places:
        documents = contents.get(tree.spans[place].span_id, Content()).documents or []
        if tree.spans[place].kind == "reranker":
            together.before[place] = fresh if fresh else together.shown
            together.shown, fresh, is_reranked = [*documents], [], True
            continue
        fresh = [*fresh, *documents][:MOST_DOCUMENTS]
        if not is_reranked:
            together.shown = fresh


def _answer(tree: Tree, place: int, contents: Mapping[bytes, Content]) -> Answer | None:
    for candidate in tree.answers_of(place)[:MOST_ANSWERS]:
        content = contents.get(tree.spans[candidate].span_id)
        if content is not None and content.output:
            return Answer(said(content.output))
    return None


def _retrieval(
    tree: Tree, place: int, contents: Mapping[bytes, Content], answer: Answer | None, together: _Round
) -> RetrievalFact:
    span = tree.spans[place]
    content = contents.get(span.span_id, Content())
    documents = content.documents[:MOST_DOCUMENTS] if content.documents is not None else None
    chunks = len(documents) if documents is not None else _whole(_first(content.attributes, COUNT_NAMES))
    use = utilisation(documents, answer, shown=together.shown) if documents else None
    model = _model_for(tree, place)
    return RetrievalFact(
        **_shared(span, _index_name(span, content.attributes)),
        kind=span.kind,
        model=model.model if model else "",
        prompt_name=model.prompt_name if model else "",
        prompt_version=model.prompt_version if model else "",
        failed=span.status == "error",
        # A retrieval that failed brought nothing, which does not mean that there was nothing to be found.
        chunks=None if span.status == "error" and not chunks else chunks,
        **_scores(documents or []),
        **_reranking(documents or [], together.before.get(place, [])),
        utilisation=use.share if use else None,
        utilisation_method=use.method if use else "",
        index_age_s=_index_age(span, content.attributes),
    )


def _model_for(tree: Tree, place: int) -> FactSpan | None:
    """The model span that the retrieval was for."""
    for candidate in tree.answers_of(place)[:1]:
        if tree.spans[candidate].kind == "llm":
            return tree.spans[candidate]
    return None


def _index_name(span: FactSpan, attributes: Mapping[str, Any]) -> str:
    named = _first(attributes, INDEX_NAMES)
    return str(named) if isinstance(named, str | int) and str(named).strip() else span.tool_name or span.name


def _first(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) not in (None, "")), None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    number = float(value)
    return number if abs(number) < 1e15 else None  # not infinite either; NaN compares false


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 <= number < 10**6 else None


def _index_age(span: FactSpan, attributes: Mapping[str, Any]) -> int | None:
    """Seconds between the index's last update and the retrieval; None when not told, or when it makes no sense."""
    age = _number(_first(attributes, AGE_NAMES))
    if age is None:
        updated = _moment(_first(attributes, UPDATED_NAMES))
        age = None if updated is None else (span.client_started_at - updated).total_seconds()
    return int(age) if age is not None and 0 <= age <= LONGEST_AGE_S else None


def _moment(value: Any) -> datetime | None:
    number = _number(value)
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _scores(documents: Sequence[Document]) -> dict[str, Any]:
    """The best, the mean and the worst score of the documents that have one."""
    found = [score for document in documents if (score := _score(document)) is not None]
    if not found:
        return {"top_score": None, "mean_score": None, "low_score": None}
    return {"top_score": max(found), "mean_score": sum(found) / len(found), "low_score": min(found)}


def _score(document: Document) -> float | None:
    score = _number(document.get("score"))
    return _number(document.get("rerank_score")) if score is None else score


def _reranking(documents: Sequence[Document], earlier: Sequence[Document]) -> dict[str, Any]:
    """What a reranker did to the documents. Places before are by their scores, or as the retrieval before it had them;
    places after by the reranker's scores.
    """
    nothing = {
        "reranked": None, "score_before": None, "score_after": None, "mean_shift": None, "changed_top3": None,
    }  # fmt: skip
    ranked = [document for document in documents if _number(document.get("rerank_score")) is not None]
    if not ranked and not earlier:
        return nothing
    after = _ordered(ranked, "rerank_score") if ranked else list(documents)
    scores_before = [score for document in after if (score := _number(document.get("score"))) is not None]
    before = _ordered(after, "score") if ranked and len(scores_before) == len(after) else list(earlier)
    if not before and not ranked:
        return nothing
    return {
        "reranked": len(after),
        "score_before": _mean(scores_before) if ranked else None,
        "score_after": _mean([_number(document.get("rerank_score")) or 0.0 for document in ranked]),
        **_shift(before, after),
    }


def _ordered(documents: Iterable[Document], by: str) -> list[Document]:
    return sorted(documents, key=lambda document: -(_number(document.get(by)) or 0.0))


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _shift(before: Sequence[Document], after: Sequence[Document]) -> dict[str, Any]:
    """By how many places documents moved on average, and how many of the first three are new there."""
    places: dict[str, int] = {}
    for place, document in enumerate(before):
        places.setdefault(identity(document), place)
    moved = [
        abs(places[identity(document)] - place)
        for place, document in enumerate(after)
        if identity(document) and identity(document) in places
    ]
    if not moved:
        return {"mean_shift": None, "changed_top3": None}
    first = {identity(document) for document in before[:TOP]}
    return {
        "mean_shift": sum(moved) / len(moved),
        "changed_top3": sum(identity(document) not in first for document in after[:TOP]),
    }


MOST_DEPTH = 8
SAID_IN = (
    "content", "text", "parts", "message", "messages", "choices", "output", "output_text", "answer", "response",
    "result",
)  # fmt: skip


def said(output: str | None) -> str:
    """The words of an output: the text itself, or the texts within its JSON."""
    if not output:
        return ""
    if output[:1] not in "[{":
        return output
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return output
    return "\n".join(_texts(value, MOST_DEPTH)) or output


def _texts(value: Any, levels: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and levels:
        for item in value:
            yield from _texts(item, levels - 1)
    elif isinstance(value, dict) and levels:
        for name in SAID_IN:
            if name in value:
                yield from _texts(value[name], levels - 1)


# --- Tools and tasks ----------------------------------------------------------------------------------------


def _tool(tree: Tree, place: int) -> ToolFact:
    span = tree.spans[place]
    agent = tree.agents[place]
    around = "" if agent is None else tree.spans[agent].agent_name or tree.spans[agent].name
    return ToolFact(
        **_shared(span, span.tool_name or span.name),
        agent_name=span.agent_name or around,
        outcome=outcome_of(span),
    )


def outcome_of(span: FactSpan, last: FactSpan | None = None) -> str | None:
    """How a span ended, judged by itself and by the last step within it; None while it has no end."""
    failed = [each for each in (span, last) if each is not None and each.status == "error"]
    if failed:
        return TIMEOUT if any(LATE.search(f"{each.error_type} {each.finish_reason}") for each in failed) else FAILURE
    if span.ended_at is None and span.latency_ms is None:
        return None
    return SUCCESS


def _tasks(tree: Tree, contents: Mapping[bytes, Content]) -> Iterator[TaskFact]:
    owners = _owners(tree)
    members: dict[int, list[int]] = {}
    for place, owner in enumerate(owners):
        if owner is not None:
            members.setdefault(owner, []).append(place)
    for owner in sorted(members):
        yield _task(tree, owner, members[owner], contents)


def _judged(task: TaskFact, judged: Judged) -> TaskFact:
    given = judged.get(task.span_id, judged.get(None))
    return task if given is None else msgspec.structs.replace(task, outcome=given)


def completion_of(value: float | None, label: str) -> str | None:
    """The outcome that a score `task_completion` means: its word, else whether at least half was done."""
    if label in OUTCOMES:
        return label
    return None if value is None else SUCCESS if value >= HALF_DONE else FAILURE


def _owners(tree: Tree) -> list[int | None]:
    """The task that each span belongs to, by the place of the task's span; None for spans outside of tasks."""
    spans = tree.spans
    if any(span.kind == "agent" for span in spans):
        owners: list[int | None] = [None] * len(spans)
        for place in tree.order:
            parent = tree.parents[place]
            owners[place] = None if parent is None else owners[parent]
            if owners[place] is None and spans[place].kind == "agent":
                owners[place] = place
        return _handed_over(tree, owners)
    return _owners_by_root(tree)


def _handed_over(tree: Tree, owners: Sequence[int | None]) -> list[int | None]:
    """The owners, with agents that were handed over to given to the task of the agent that did.

    Some clients report them side by side under the run as a whole: under the same span, each begins when the one
    before it has just ended, and has another name.
    """
    leaders: dict[int, int] = {}
    last: dict[int, int] = {}
    for place in (place for place, owner in enumerate(owners) if owner == place):
        parent = tree.parents[place]
        if parent is None:
            continue
        before = last.get(parent)
        if before is not None and _follows(tree.spans[before], tree.spans[place]):
            leaders[place] = leaders.get(before, before)
        last[parent] = place
    return [owner if owner is None else leaders.get(owner, owner) for owner in owners]


def _follows(before: FactSpan, after: FactSpan) -> bool:
    if before.ended_at is None or _agent_name(before) == _agent_name(after):
        return False
    return abs(after.client_started_at - before.ended_at) <= HANDED_OVER_WITHIN


def _owners_by_root(tree: Tree) -> list[int | None]:
    roots: list[int] = [0] * len(tree.spans)
    for place in tree.order:
        parent = tree.parents[place]
        roots[place] = place if parent is None else roots[parent]
    has_tool = {roots[place] for place, span in enumerate(tree.spans) if span.kind == "tool"}
    has_model = {roots[place] for place, span in enumerate(tree.spans) if _is_model_call(span)}
    both = has_tool & has_model
    if not both and has_tool and has_model and not any(tree.depths):
        return [0] * len(tree.spans)
    return [root if root in both else None for root in roots]


def _is_model_call(span: FactSpan) -> bool:
    return span.kind == "llm" and span.counted


def _task(tree: Tree, owner: int, members: Sequence[int], contents: Mapping[bytes, Content]) -> TaskFact:
    span = tree.spans[owner]
    models = [tree.spans[place] for place in members if _is_model_call(tree.spans[place])]
    runs = [tree.spans[place] for place in members if tree.spans[place].kind == "tool"]
    costs = [call.cost_usd for call in models if call.cost_usd is not None]
    prompted = next((call for call in models if call.prompt_name), None)
    names = Counter(run.tool_name or run.name for run in runs)
    last = _last_step([*models, *runs], owner=span)
    final = tree.spans[_final(tree, owner, members)]
    failed = next((each for each in (final, last) if each is not None and each.status == "error"), None)
    shared = _shared(span, _agent_name(span))
    return TaskFact(
        **{**shared, "error_type": failed.error_type if failed else "", "latency_ms": _length(tree, owner, members)},
        model=models[-1].model if models else "",
        prompt_name=prompted.prompt_name if prompted else "",
        prompt_version=prompted.prompt_version if prompted else "",
        outcome=outcome_of(final, last),
        steps=len(models) + len(runs),
        model_calls=len(models),
        tool_runs=len(runs),
        tools=sorted(names)[:MOST_TOOLS],
        handoffs=sum(_is_handoff(tree, place) for place in members if place != owner),
        loop=loop_of([_call_of(run, contents) for run in runs]),
        depth=max(tree.depths[place] for place in members) - tree.depths[owner],
        input_tokens=sum(call.input_tokens or 0 for call in models),
        output_tokens=sum(call.output_tokens or 0 for call in models),
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        unpriced_calls=len(models) - len(costs),
    )


def _final(tree: Tree, owner: int, members: Sequence[int]) -> int:
    """The span that ends the task: its own, or that of the agent that it was handed over to last."""
    parent = tree.parents[owner]
    return max(place for place in members if place == owner or (parent is not None and tree.parents[place] == parent))


def _length(tree: Tree, owner: int, members: Sequence[int]) -> int | None:
    """The task's length: its span's own; of a flat trace, or one handed over, from the first start to the last end."""
    span = tree.spans[owner]
    if len(members) == 1 or (span.kind not in ("llm", "tool") and _final(tree, owner, members) == owner):
        return span.latency_ms
    known = [end for place in members if (end := tree.spans[place].ended_at) is not None]
    return max(0, round((max(known) - span.client_started_at).total_seconds() * 1000)) if known else None


def _last_step(steps: Sequence[FactSpan], *, owner: FactSpan) -> FactSpan | None:
    """The model call or tool run that ended last."""
    inner = [step for step in steps if step is not owner]
    return max(inner, key=lambda step: (step.ended_at or step.client_started_at, step.span_id), default=None)


def _is_handoff(tree: Tree, place: int) -> bool:
    span, around = tree.spans[place], tree.agents[place]
    if span.kind != "agent":
        return False
    return around is None or _agent_name(span) != _agent_name(tree.spans[around])


def _agent_name(span: FactSpan) -> str:
    return span.agent_name or span.name


Call = tuple[str, str | None]
"""A tool call: the tool's name, and its arguments if they are known."""


def _call_of(run: FactSpan, contents: Mapping[bytes, Content]) -> Call:
    content = contents.get(run.span_id)
    return run.tool_name or run.name, content.arguments if content else None


def loop_of(calls: Sequence[Call]) -> str | None:
    """How the calls, in their order, go in circles: "" when they do not, None when no arguments are known.

    `repeated`: the same tool with the same arguments 3 times in a row. `cycle`: the same 2 or 3 different calls 3 times
    in a row (A B A B A B). `often`: the same call at least 5 times altogether. Calls without known arguments are equal
    to no other.
    """
    if not calls:
        return ""
    if all(arguments is None for _name, arguments in calls):
        return None
    keys: list[Any] = [call if call[1] is not None else (place,) for place, call in enumerate(calls)]
    if _has_cycle(keys, 1, IN_A_ROW):
        return REPEATED
    if any(_has_cycle(keys, length, CYCLE_TURNS) for length in range(2, LONGEST_CYCLE + 1)):
        return CYCLE
    return OFTEN if max(Counter(keys).values()) >= IN_A_TASK else ""


def _has_cycle(keys: Sequence[Any], length: int, turns: int) -> bool:
    """Whether `length` keys come `turns` times in a row somewhere."""
    same = 0
    for place in range(length, len(keys)):
        same = same + 1 if keys[place] == keys[place - length] else 0
        if same >= length * (turns - 1):
            return True
    return False
