"""JSON endpoints of eval sets, their examples and revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import not_modified, validated, validated_query
from apps.evals.examples import BODY_FIELDS, BadExample, body_as_dict, body_from_dict
from apps.evals.models import EvalSet, Example, Revision
from apps.evals.selectors import examples as examples
from apps.evals.selectors import sets
from apps.evals.selectors.examples import ExampleFilter
from apps.evals.services import sets as services
from apps.evals.services.set_changes import Add, Changes, Replace, StateChange, body_of, new_key
from apps.evals.services.sets import SetChange
from apps.evals.set_serializers import (
    EXAMPLE_FIELDS,
    MOST_AT_ONCE,
    STATES,
    ChangesOutput,
    ChangesQuery,
    ExampleOutput,
    ExamplePatch,
    ExamplesInput,
    ExamplesOutput,
    ExamplesQuery,
    ReviewInput,
    RevisionOutput,
    RevisionsOutput,
    RevisionsQuery,
    SetInput,
    SetLineOutput,
    SetPatch,
    SetsOutput,
    SetsQuery,
    WrittenOutput,
)
from apps.evals.types import ExampleOrigin, Json, ReviewState
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


class EvalsApi(ProjectApi):
    """An endpoint of evals: members read, editors change, and keys with the scope do both."""

    role = Role.VIEWER
    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR, "PATCH": Role.EDITOR, "DELETE": Role.EDITOR}


def _line(eval_set: EvalSet) -> dict[str, Any]:
    (line,) = sets.set_lines([eval_set])
    return dict(SetLineOutput(line).data)


def _change_of(body: Mapping[str, Any]) -> SetChange:
    """What the body asks for; a schema that is null is taken away."""
    values = {name: value for name, value in body.items() if name not in {"slug", "archived"}}
    clears = frozenset(name for name in ("input_schema", "expected_schema") if name in body and body[name] is None)
    return SetChange(**values, clears=clears, is_archived=body.get("archived"))


class EvalSetsApi(EvalsApi):
    """`GET` and `POST /api/v1/eval-sets`"""

    @extend_schema(parameters=[SetsQuery], responses=SetsOutput, operation_id="eval_sets_list")
    def get(self, request: ApiRequest) -> Response:
        """Eval sets in the order of their slugs, each with its newest revision and the last run over it."""
        query = validated_query(SetsQuery, request)
        page = sets.list_sets(
            request.project,
            text=query["q"],
            with_archived=query["archived"],
            after=query["cursor"],
            limit=query["limit"],
        )
        return Response({"items": SetLineOutput(page.items, many=True).data, "next": page.next})

    @extend_schema(request=SetInput, responses={201: SetLineOutput}, operation_id="eval_sets_create")
    def post(self, request: ApiRequest) -> Response:
        """Make an eval set without examples. 422 `slug_taken` when there is one of that slug."""
        body = validated(SetInput, request)
        made = services.create_set(
            project=request.project,
            name=body.pop("name"),
            slug=body.pop("slug"),
            settings=_change_of(body),
            actor=request.actor,
            now=clock.now(),
        )
        return Response(_line(made), status=201)


class EvalSetApi(EvalsApi):
    """`GET`, `PATCH` and `DELETE /api/v1/eval-sets/{slug}`"""

    @extend_schema(responses=SetLineOutput, operation_id="eval_sets_read")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """One set with its newest revision."""
        return not_modified(request, Response(_line(sets.get_set(request.project, slug))))

    @extend_schema(request=SetPatch, responses=SetLineOutput, operation_id="eval_sets_change")
    def patch(self, request: ApiRequest, slug: str) -> Response:
        """Change what stands around the examples, archive the set or bring it back."""
        body = validated(SetPatch, request)
        found = sets.get_set(request.project, slug)
        done = services.change_set(eval_set=found, change=_change_of(body), actor=request.actor, now=clock.now())
        return Response(_line(done))

    @extend_schema(responses={204: None}, operation_id="eval_sets_archive")
    def delete(self, request: ApiRequest, slug: str) -> Response:
        """Archive the set. Its examples, revisions and runs stay; `PATCH` with `archived: false` brings it back."""
        found = sets.get_set(request.project, slug)
        services.archive_set(eval_set=found, actor=request.actor, now=clock.now())
        return Response(status=204)


def _filter_of(query: Mapping[str, Any]) -> ExampleFilter:
    return ExampleFilter(state=query["state"], slice=query["slice"], origin=query["origin"], text=query["q"])


def _object(told: Json, place: str) -> Mapping[str, Json]:
    if isinstance(told, Mapping):
        return told
    raise BadExample({place or "example": ["This must be a JSON object."]})


def _state_of(told: Mapping[str, Json]) -> ReviewState | None:
    """The state that is told; None when there is none. Raises BadExample."""
    state = told.get("state")
    if state is None:
        return None
    if state not in [name for name, _label in STATES]:
        raise BadExample({"state": ["Use draft, approved or rejected."]})
    return ReviewState(state)


def _note_of(told: Mapping[str, Json]) -> str | None:
    note = told.get("note")
    if note is not None and not isinstance(note, str):
        raise BadExample({"note": ["This must be text."]})
    return note


def _known_only(told: Mapping[str, Json], known: frozenset[str]) -> None:
    unknown = sorted(str(name) for name in told if name not in known)
    if unknown:
        raise BadExample({name[:100]: [f"Unknown field. Known are: {', '.join(sorted(known))}."] for name in unknown})


def _add(told: Json, may_replace: bool) -> Add:
    """One new example. Raises BadExample."""
    given = _object(told, "")
    _known_only(given, EXAMPLE_FIELDS)
    key = given.get("key")
    if key is not None and not isinstance(key, str):
        raise BadExample({"key": ["A key is text."]})
    return Add(
        body=body_from_dict({name: given[name] for name in BODY_FIELDS if name in given}),
        key=key if key is not None else new_key(),
        state=_state_of(given) or ReviewState.DRAFT,
        origin=ExampleOrigin.API,
        note=_note_of(given) or "",
        may_replace=may_replace,
    )


def _adds(told: list[Json], may_replace: bool) -> tuple[Add, ...]:
    """The examples of a list. Raises BadExample that names each place, of all that cannot be used."""
    if not 1 <= len(told) <= MOST_AT_ONCE:
        raise Invalid(examples=[f"Send 1 to {MOST_AT_ONCE:,} examples at once; import more than that as a file."])
    adds: list[Add] = []
    problems: dict[str, list[str]] = {}
    for at, one in enumerate(told):
        try:
            adds.append(_add(one, may_replace))
        except BadExample as error:
            problems |= error.moved("", f"examples.{at}.").details
    if problems:
        raise BadExample(dict(list(problems.items())[:100]))
    return tuple(adds)


class ExamplesApi(EvalsApi):
    """`GET` and `POST /api/v1/eval-sets/{slug}/examples`"""

    @extend_schema(parameters=[ExamplesQuery], responses=ExamplesOutput, operation_id="eval_examples_list")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """The set's examples in the order of their keys, as they are now or were at a revision."""
        query = validated_query(ExamplesQuery, request)
        found = sets.get_set(request.project, slug)
        if query["revision"] is not None:
            sets.get_revision(found, query["revision"])
        number = found.head if query["revision"] is None else query["revision"]
        page = examples.list_examples(
            found, where=_filter_of(query), revision=number, after=query["cursor"], limit=query["limit"]
        )
        shown = ExampleOutput(page.items, many=True).data
        return not_modified(request, Response({"items": shown, "next": page.next, "revision": number}))

    @extend_schema(request=ExamplesInput, responses={201: WrittenOutput}, operation_id="eval_examples_create")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Add one example, or up to 1,000 as `{"examples": [...]}`, as one revision: all of them, or none.

        409 `key_taken` for a key that is there, unless `replace` is true; an example that is there as sent is left.
        """
        found = sets.get_set(request.project, slug)
        told = _object(request.data, "")
        is_list = "examples" in told
        if is_list:
            _known_only(told, frozenset({"examples", "note", "replace"}))
        listed = told["examples"] if is_list else [told]
        if not isinstance(listed, list):
            raise Invalid(examples=["This must be a list of examples."])
        place = "examples.{}." if is_list else ""
        try:
            adds = _adds(listed, told.get("replace") is True and is_list)
        except BadExample as error:
            raise error if is_list else error.moved("examples.0.", "") from error
        try:
            revision = services.change_examples(
                eval_set=found,
                changes=Changes(adds=adds),
                actor=request.actor,
                note=(_note_of(told) or "") if is_list else "",
                now=clock.now(),
            )
        except BadExample as error:
            raise error.moved("adds." if is_list else "adds.0.", "examples." if place else "") from error
        return Response(_written(revision, [one.key for one in adds]), status=201)


def _written(revision: Revision, keys: list[str]) -> dict[str, Any]:
    return {"revision": RevisionOutput(revision).data, "keys": keys}


class ExampleApi(EvalsApi):
    """`GET`, `PATCH` and `DELETE /api/v1/eval-sets/{slug}/examples/{key}`"""

    @extend_schema(responses=ExampleOutput, operation_id="eval_examples_read")
    def get(self, request: ApiRequest, slug: str, key: str) -> Response:
        """The example as it is now."""
        found = examples.get_example(sets.get_set(request.project, slug), key)
        return not_modified(request, Response(ExampleOutput(found).data))

    @extend_schema(request=ExamplePatch, responses=ExampleOutput, operation_id="eval_examples_change")
    def patch(self, request: ApiRequest, slug: str, key: str) -> Response:
        """Change fields of the example as one revision. 409 `moved_on` when somebody changed it in between."""
        held = sets.get_set(request.project, slug)
        told = _object(request.data, "")
        _known_only(told, (EXAMPLE_FIELDS - {"key"}) | {"base"})
        base = told.get("base")
        if base is not None and (not isinstance(base, int) or isinstance(base, bool)):
            raise BadExample({"base": ["This must be the number of a revision."]})
        row = examples.get_example(held, key)
        change = Replace(
            key=key,
            body=_patched(row, told),
            state=_state_of(told),
            note=_note_of(told),
            # What is not named stays as it was read a moment ago, so the row must be that one in any case.
            base=row.since if base is None else base,
        )
        try:
            services.change_examples(
                eval_set=held, changes=Changes(replaces=(change,)), actor=request.actor, now=clock.now()
            )
        except BadExample as error:
            raise error.moved("replaces.0.", "") from error
        return Response(ExampleOutput(examples.get_example(sets.get_set(request.project, slug), key)).data)

    @extend_schema(responses={204: None}, operation_id="eval_examples_remove")
    def delete(self, request: ApiRequest, slug: str, key: str) -> Response:
        """Take the example out of the set, as one revision. The revisions before still hold it."""
        held = sets.get_set(request.project, slug)
        services.change_examples(eval_set=held, changes=Changes(removes=(key,)), actor=request.actor, now=clock.now())
        return Response(status=204)


def _patched(row: Example, told: Mapping[str, Json]) -> Any:
    """The row's body with the told fields in place of its own; None when no field of it is told."""
    given = {name: told[name] for name in BODY_FIELDS if name in told}
    return body_from_dict({**body_as_dict(body_of(row)), **given}) if given else None


class ExamplesReviewApi(EvalsApi):
    """`POST /api/v1/eval-sets/{slug}/examples/review`"""

    @extend_schema(request=ReviewInput, responses=RevisionOutput, operation_id="eval_examples_review")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Approve, reject or make drafts of many examples at once, as one revision in the name of who asks."""
        body = validated(ReviewInput, request)
        keys = tuple(body["keys"]) if "keys" in body else None
        where = _filter_of(body["filter"]) if "filter" in body else ExampleFilter()
        revision = services.change_examples(
            eval_set=sets.get_set(request.project, slug),
            changes=Changes(states=(StateChange(ReviewState(body["state"]), keys=keys, where=where),)),
            actor=request.actor,
            note=body["note"],
            now=clock.now(),
        )
        return Response(RevisionOutput(revision).data)


class RevisionsApi(EvalsApi):
    """`GET /api/v1/eval-sets/{slug}/revisions`"""

    @extend_schema(parameters=[RevisionsQuery], responses=RevisionsOutput, operation_id="eval_revisions_list")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """The set's revisions, newest first."""
        query = validated_query(RevisionsQuery, request)
        found = sets.get_set(request.project, slug)
        revisions = sets.list_revisions(found, before=query["cursor"], limit=query["limit"] + 1)
        shown = revisions[: query["limit"]]
        following = shown[-1].number if len(revisions) > len(shown) else None
        return Response({"items": RevisionOutput(shown, many=True).data, "next": following})


class RevisionApi(EvalsApi):
    """`GET /api/v1/eval-sets/{slug}/revisions/{number}`"""

    @extend_schema(parameters=[ChangesQuery], responses=ChangesOutput, operation_id="eval_revisions_read")
    def get(self, request: ApiRequest, slug: str, number: int) -> Response:
        """One revision and what it added, changed and removed."""
        query = validated_query(ChangesQuery, request)
        revision = sets.get_revision(sets.get_set(request.project, slug), number)
        page = examples.changes_of(revision, after=query["cursor"], limit=query["limit"])
        shown = ChangesOutput({"revision": revision, "items": page.items, "next": page.next}).data
        return not_modified(request, Response(shown))
