"""JSON endpoints of promotions: asking, reading with the gate reports, deciding."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.reauthentication import is_fresh
from apps.core import clock
from apps.core.errors import Forbidden
from apps.core.rest import not_modified, validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import person_behind
from apps.projects.types import Role, Scope
from apps.promotions.models import Promotion
from apps.promotions.promotion_serializers import (
    AskInput,
    CommentInput,
    FollowUpInput,
    NothingInput,
    PromotionLineOutput,
    PromotionOutput,
    PromotionsOutput,
    PromotionsQuery,
    ReasonInput,
    RejectInput,
)
from apps.promotions.selectors import evidence, promotion_facts
from apps.promotions.selectors import promotions as selectors
from apps.promotions.services import asking, deciding, overriding
from apps.promotions.types import PromotionKind, PromotionOrigin, PromotionState, Purpose
from apps.prompts.selectors import get_prompt, get_version
from apps.prompts.selectors.versions import get_environment


class SignInAgain(Forbidden):
    """A person must prove again who they are before this."""

    code = "sign_in_again"
    message = "Confirm your password under /accounts/reauthenticate/ first, or approve on the promotion's page."


def shown(request: ApiRequest, number: int) -> dict[str, Any]:
    """The promotion of this number as its answer, read anew. Raises NotFound."""
    promotion = selectors.get_promotion(request.project, number)
    is_waiting = promotion.state == PromotionState.WAITING.value
    context = {
        "request": request,
        "project": request.project,
        "checks": selectors.list_checks(promotion),
        "trail": selectors.trail_of(promotion),
        "problems": evidence.evidence_problems(promotion) if is_waiting else (),
    }
    return dict(PromotionOutput(promotion, context=context).data)


def acting(request: ApiRequest) -> dict[str, Any]:
    """Who acts, the person behind it, and when."""
    person = person_behind(request.user, request.identity)
    return {"actor": request.actor, "person": person, "now": clock.now()}


class PromotionsApi(ProjectApi):
    """`GET` and `POST /api/v1/promotions`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMOTIONS}
    also: ClassVar[dict[str, Scope]] = {"GET": Scope.PROMOTIONS, "POST": Scope.PROMPTS_WRITE}

    @extend_schema(parameters=[PromotionsQuery], responses=PromotionsOutput, operation_id="promotions_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's promotions, newest first. `next` is the cursor of the following page."""
        query = validated_query(PromotionsQuery, request)
        where = selectors.PromotionFilter(query["prompt"], query["environment"], query["state"])
        lines = selectors.list_promotions(request.project, where, before=query["cursor"], limit=query["limit"] + 1)
        page = lines[: query["limit"]]
        context = {"request": request, "project": request.project}
        items = PromotionLineOutput(page, many=True, context=context).data
        following = page[-1].promotion.number if len(lines) > len(page) else None
        return Response({"items": items, "next": following})

    @extend_schema(
        request=AskInput, responses={201: PromotionOutput, 200: PromotionOutput}, operation_id="promotions_ask"
    )
    def post(self, request: ApiRequest) -> Response:
        """Ask for a version to go live in a protected environment, on its own model or on another one.

        201 with the promotion: `waiting` when reports are there already, `checking` while runs are under way,
        `refused` with reasons. Asking again for what is open answers 200 with that one. 409 `not_protected`,
        `live_already`, `prompt_archived`, `override_open`.
        """
        body = validated(AskInput, request)
        prompt = get_prompt(request.project, body["prompt"])
        told = acting(request)
        wanted: dict[str, Any] = {
            "prompt": prompt,
            "version": get_version(prompt, body["version"]),
            "environment": get_environment(request.project, body["environment"]),
            "model": body["model"],
            "why": body["why"],
            "origin": PromotionOrigin(body["origin"]),
        }
        if body["kind"] == PromotionKind.OVERRIDE.value:
            made = overriding.ask_override(**wanted, **told)
        else:
            made = asking.ask(**wanted, **told, purpose=Purpose(body["purpose"]))
        is_new = made.asked_at == told["now"]
        return Response(shown(request, made.number), status=201 if is_new else 200)


class PromotionApi(ProjectApi):
    """`GET /api/v1/promotions/{number}`"""

    scope = Scope.READ
    also: ClassVar[dict[str, Scope]] = {"GET": Scope.PROMOTIONS}

    @extend_schema(responses=PromotionOutput, operation_id="promotions_get")
    def get(self, request: ApiRequest, number: int) -> Response:
        """One promotion with the gate reports, decisions, comments and history. It carries an ETag."""
        return not_modified(request, Response(shown(request, number)))


class DecisionApi(ProjectApi):
    """What the endpoints that decide share. The person counts: a key's is whoever made it."""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    def found(self, request: ApiRequest, number: int) -> Promotion:
        """The project's promotion of this number. Raises NotFound."""
        return selectors.get_promotion(request.project, number)


class PromotionApproveApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/approve`"""

    @extend_schema(request=ReasonInput, responses=PromotionOutput, operation_id="promotions_approve")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Approve it. With enough approvals it is live at once, and every process serves it within five seconds.

        403 `may_not_decide` for its author, its requester (with any key) and whoever is no reviewer; 409 `not_waiting`,
        `decided_already`, and `promotion_void` when what it was judged by changed: then nothing went live.
        """
        body = validated(ReasonInput, request)
        promotion = self.found(request, number)
        if request.identity is None and not is_fresh(request._request):
            raise SignInAgain
        deciding.approve(promotion=promotion, **acting(request), reason=body["reason"])
        return Response(shown(request, number))


class PromotionRejectApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/reject`"""

    @extend_schema(request=RejectInput, responses=PromotionOutput, operation_id="promotions_reject")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Reject it, with a reason. 403 `may_not_decide`; 409 `not_waiting`, `decided_already`."""
        body = validated(RejectInput, request)
        deciding.reject(promotion=self.found(request, number), **acting(request), reason=body["reason"])
        return Response(shown(request, number))


class PromotionWithdrawApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/withdraw`"""

    also: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}

    @extend_schema(request=ReasonInput, responses=PromotionOutput, operation_id="promotions_withdraw")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Take the request back: whoever asked, or an admin. 403 `may_not_decide`; 409 `not_open`."""
        body = validated(ReasonInput, request)
        deciding.withdraw(promotion=self.found(request, number), **acting(request), reason=body["reason"])
        return Response(shown(request, number))


class PromotionCheckApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/check`"""

    also: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}

    @extend_schema(request=NothingInput, responses=PromotionOutput, operation_id="promotions_check")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Check it anew against the rule, the gates and what is live now.

        A refused one is checked again. One that is void is asked for anew: the answer is another promotion, with its
        own number. 409 `not_recheckable` for any other.
        """
        validated(NothingInput, request)
        done = asking.recheck(promotion=self.found(request, number), **acting(request))
        return Response(shown(request, done.number))


class PromotionCommentsApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/comments`"""

    also: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}

    @extend_schema(request=CommentInput, responses={201: PromotionOutput}, operation_id="promotions_comment")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Write something about it, in any state."""
        body = validated(CommentInput, request)
        promotion = self.found(request, number)
        deciding.comment(promotion=promotion, actor=request.actor, now=clock.now(), text=body["text"])
        return Response(shown(request, number), status=201)


class PromotionFollowUpApi(DecisionApi):
    """`POST /api/v1/promotions/{number}/follow-up`"""

    role = Role.REVIEWER

    @extend_schema(request=FollowUpInput, responses=PromotionOutput, operation_id="promotions_follow_up")
    def post(self, request: ApiRequest, number: int) -> Response:
        """Sign the review that an override owes. Not for its requester (403); 409 `signed_already`."""
        body = validated(FollowUpInput, request)
        follow_up = promotion_facts.follow_up_of(self.found(request, number))
        overriding.sign_follow_up(follow_up=follow_up, **acting(request), finding=body["finding"])
        return Response(shown(request, number))
