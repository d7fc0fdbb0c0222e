"""What an example begins with when it is made of a trace, of a reviewed answer, or of an answer of the playground."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from apps.core.errors import NotFound
from apps.evals.examples import NOT_IN_TEXT, ExampleBody
from apps.evals.recovering import variables_of
from apps.evals.types import ExampleOrigin, Json
from apps.playground import recorded
from apps.playground.case import Case, case_from_dict, literal_messages
from apps.playground.models import PlaygroundAnswer
from apps.projects.models import Project
from apps.prompts import selectors as prompts
from apps.telemetry import conversation
from apps.telemetry.models import ReviewItem
from apps.telemetry.selectors import one_trace, review
from apps.telemetry.selectors.spans import SpanView


@dataclass(frozen=True, slots=True)
class Prefill:
    """An example as far as it is known. `is_answer`: what is expected is what the model said, so somebody should look.
    `prompt` is the version whose variables were read back, as `name 1.2.0`; empty when there was none."""

    body: ExampleBody
    origin: ExampleOrigin
    trace_id: str = ""
    span_id: str = ""
    note: str = ""
    feature: str = ""
    prompt: str = ""
    is_answer: bool = True


def of_trace(project: Project, trace_id: str, span_id: str) -> Prefill:
    """The call as an example: variables where the prompt's version lets them be read back, else the messages.

    Raises NotFound when the project has no such span.
    """
    outline = one_trace.get_outline(project.pk, trace_id)
    place = outline.place_of(span_id) if span_id else outline.place_to_open()
    if place is None:
        raise NotFound
    (span,) = outline.spans(place, place + 1)
    sent = _sent(span.input, span)
    variables, prompt = _variables(project, span.prompt_name, span.prompt_version, sent)
    body = ExampleBody(
        variables=variables or {},
        messages=None if variables else tuple(sent),
        tools=_tools(span) or None,
        expected=_answer(span.output),
    )
    return Prefill(
        body=_storable(body),
        origin=ExampleOrigin.TRACE,
        trace_id=outline.trace_id,
        span_id=span.span_id,
        feature=span.feature or "",
        prompt=prompt,
    )


def of_review(project: Project, uuid: UUID) -> Prefill:
    """A decided case: what it should have been is expected; of an answer found good, the answer.

    Where the trace is gone, the copy that the case kept is used. Raises NotFound, also for a case nobody decided.
    """
    item = review.get_item(project.pk, uuid)
    if item.is_waiting:
        raise NotFound("Decide the case first, then make an example of it.")
    try:
        found = of_trace(project, item.trace_hex, item.span_hex)
    except NotFound:
        found = _of_copy(item)
    expected: Json = item.correction or (found.body.expected if item.verdict == ReviewItem.Verdict.GOOD else None)
    return replace(
        found,
        body=_storable(replace(found.body, expected=expected or None)),
        origin=ExampleOrigin.REVIEW,
        note=item.failure_label,
        is_answer=not item.correction and expected is not None,
    )


def of_answer(project: Project, uuid: UUID) -> Prefill:
    """An answer of the playground with the values it was asked with, or the messages when there were none.

    Raises NotFound.
    """
    answer = PlaygroundAnswer.objects.select_related("run").filter(project=project, uuid=uuid).first()
    if answer is None:
        raise NotFound
    case = case_from_dict(answer.run.case)
    values = {name: value for name, value in case.values.items() if value not in (None, "")}
    has_values = bool(values) and not case.is_literal
    body = ExampleBody(
        variables=values if has_values else {},
        messages=None if has_values else tuple(answer.run.messages),
        expected=answer.text or None,
    )
    return Prefill(
        body=_storable(body),
        origin=ExampleOrigin.PLAYGROUND,
        trace_id=answer.trace_id if answer.is_traced else "",
        span_id=answer.span_id if answer.is_traced else "",
        prompt=f"{answer.run.prompt_name} {answer.run.prompt_version}".strip() if has_values else "",
    )


def _of_copy(item: ReviewItem) -> Prefill:
    asked: Json = _loaded(item.input) if item.input_is_json else item.input
    said: Json = _loaded(item.output) if item.output_is_json else item.output
    body = ExampleBody(messages=tuple(_sent(asked, None)), expected=_answer(said))
    return Prefill(
        body=body,
        origin=ExampleOrigin.REVIEW,
        trace_id=item.trace_hex,
        span_id=item.span_hex,
        feature=item.feature,
    )


def _loaded(text: str | None) -> Json:
    """JSON that was kept as text; what is cut off stays text."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text


def _case(input_: Json, span: SpanView | None) -> Case:
    return recorded.read(
        input_=input_,
        attributes=(span.attributes or {}) if span is not None else {},
        request_model="",
        response_model="",
        provider="",
    ).case


def _sent(input_: Json, span: SpanView | None) -> list[dict[str, Json]]:
    """The messages that were sent, in OpenAI's shape."""
    return literal_messages(_case(input_, span))


def _tools(span: SpanView) -> tuple[dict[str, Json], ...]:
    return tuple(dict(tool) for tool in _case(span.input, span).content.tools)


def _answer(output: Json) -> str | None:
    """What the model said, as text; None when that is not known."""
    said = conversation.read(None, output, kind="llm").messages
    return "\n\n".join(part.text for message in said for part in message.parts) or None


def _variables(
    project: Project, name: str, number: str, sent: Sequence[dict[str, Json]]
) -> tuple[dict[str, str] | None, str]:
    """The variables of the prompt's version that was used, and that version; None when they cannot be told."""
    if not name or not number or NOT_IN_TEXT.search(name + number):
        return None, ""
    try:
        version = prompts.get_version(prompts.get_prompt(project, name), number)
    except NotFound:
        return None, ""
    found = variables_of(version.resolved, sent)
    return found, f"{version.prompt.name} {version.number}" if found else ""


def _storable(body: ExampleBody) -> ExampleBody:
    """The body without an empty conversation, which says nothing."""
    is_blank = body.messages is not None and not any(one.get("content") or len(one) > 2 for one in body.messages)
    return replace(body, messages=None) if is_blank else body
