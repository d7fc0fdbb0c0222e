"""The playground: a conversation, up to four models, and what each of them answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock
from apps.core.errors import DomainError, Invalid, NotFound
from apps.core.http import page_or_fragment
from apps.playground import forms, selectors, services, tokens
from apps.playground.forms import Sheet
from apps.playground.models import PlaygroundRun
from apps.playground.selectors import AnswerView, RunView, Start
from apps.playground.selectors.starting import fitting_model
from apps.playground.types import MOST_COLUMNS, Origin
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts.services import DraftConflict
from apps.prompts.templating.rendering import RenderFailed
from apps.prompts.types import Syntax, VariableType
from apps.providers.presets import TEST_MODELS
from apps.providers.selectors.connections import offered_models
from apps.providers.types import OfferedModel

ROLES = ("system", "developer", "user", "assistant", "tool", "placeholder")


# --- Pages ----------------------------------------------------------------------------------------------------------


@project_page(unsafe=Role.EDITOR)
def playground(request: ProjectRequest, project: Project) -> HttpResponse:
    """The page as it begins. A post does what its button says: changes rows, saves a draft, or runs without script."""
    if request.method != "POST":
        return _page(request, project, forms.sheet_of(_start(request, project)))
    sheet = forms.read_sheet(request.POST)
    action = request.POST.get("act", "run")
    if action == "save":
        return _save(request, project, sheet)
    if action == "run":
        return _run(request, project, sheet)
    undeclared = selectors.undeclared_variables(project, forms.draft_case(sheet)) if action == "find_variables" else []
    return _page(request, project, forms.changed(sheet, action, undeclared))


@project_page()
@require_safe
def playground_run(request: ProjectRequest, project: Project, run: UUID) -> HttpResponse:
    """A run with its answers, ready to be changed and run again."""
    found = selectors.get_run(project, run)
    return _page(request, project, forms.sheet_of(_start_of(found)), found=found)


@project_page()
@require_safe
def playground_answer(request: ProjectRequest, project: Project, answer: UUID) -> HttpResponse:
    """One answer as it stands now."""
    found = selectors.get_answer(project, answer)
    return render(request, "playground/_answer.html", {"project": project, "answer": found, "number": found.number})


@project_page(role=Role.EDITOR)
@require_POST
def playground_start(request: ProjectRequest, project: Project) -> HttpResponse:
    """Begin a run for the page's script: where each answer streams from, and where it is shown when it is done."""
    sheet = forms.read_sheet(request.POST)
    try:
        run = _created(request, project, sheet)
    except DomainError as error:
        return JsonResponse(error.as_dict(), status=error.http_status)
    answers = [
        {
            "column": answer.column,
            "stream": tokens.address_of(tokens.Ticket(answer.id, request.user.pk)),
            "page": reverse("playground_answer", kwargs={"project": project.slug, "answer": answer.uuid}),
        }
        for answer in selectors.get_run(project, run.uuid).answers
    ]
    url = reverse("playground_run", kwargs={"project": project.slug, "run": run.uuid})
    return JsonResponse({"run": str(run.uuid), "url": url, "answers": answers}, status=201)


# --- What it begins with --------------------------------------------------------------------------------------------


def _start(request: ProjectRequest, project: Project) -> Start:
    """What the address asks for. Raises NotFound."""
    asked = request.GET
    if asked.get("trace"):
        return selectors.from_trace(project, asked["trace"], asked.get("span", ""))
    if not asked.get("prompt"):
        return selectors.empty_start()
    if asked.get("version"):
        return selectors.from_version(project, asked["prompt"], asked["version"])
    if asked.get("draft"):
        return selectors.from_draft(project, asked["prompt"], request.user)
    return selectors.from_prompt(project, asked["prompt"], request.user)


def _start_of(found: RunView) -> Start:
    run = found.run
    return Start(
        case=found.case,
        models=tuple(answer.model for answer in found.answers),
        origin=Origin(run.origin),
        prompt_name=run.prompt_name,
        prompt_version=run.prompt_version,
        trace_id=run.trace_id,
        span_id=run.span_id,
    )


# --- Running and saving ---------------------------------------------------------------------------------------------


def _created(request: ProjectRequest, project: Project, sheet: Sheet) -> PlaygroundRun:
    """The run of what was typed. Raises Invalid with sentences by field, or another DomainError."""
    case = forms.case_of(sheet)
    selectors.require_readable(case)
    undeclared = selectors.undeclared_variables(project, case)
    if undeclared:
        names = ", ".join(variable.name for variable in undeclared)
        raise Invalid(variables=[_("Give a value for %(names)s.") % {"names": names}])
    return services.create_run(
        project=project,
        actor=request.user,
        case=case,
        models=sheet.models,
        source=sheet.source,
        now=clock.now(),
    )


def _run(request: ProjectRequest, project: Project, sheet: Sheet) -> HttpResponse:
    """Run all columns and show the finished page."""
    try:
        run = _created(request, project, sheet)
        services.run_plainly(run=run, user_id=request.user.pk, now=clock.now())
    except DomainError as error:
        return _refused(request, project, sheet, error)
    return redirect("playground_run", project=project.slug, run=run.uuid)


def _refused(request: ProjectRequest, project: Project, sheet: Sheet, error: DomainError) -> HttpResponse:
    """The page with what was typed, and what is to be changed beside it."""
    undeclared = selectors.undeclared_variables(project, forms.draft_case(sheet))
    sheet = forms.with_errors(forms.changed(sheet, "", undeclared), _errors(sheet, error))
    return _page(request, project, sheet, status=error.http_status if error.http_status in {409, 429} else 422)


def _errors(sheet: Sheet, error: DomainError) -> Mapping[str, Sequence[str]]:
    if isinstance(error, RenderFailed):
        index, name = error.details.get("message_index"), error.details.get("variable")
        if isinstance(name, str):
            return {f"variable.{name}": [error.text]}
        rows = forms.said_rows(sheet)
        if isinstance(index, int) and index < len(rows):
            return {f"messages.{rows[index]}": [error.text]}
    by_field = {name: texts for name, texts in error.details.items() if isinstance(texts, list)}
    return by_field or {"all": [error.text]}


def _save(request: ProjectRequest, project: Project, sheet: Sheet) -> HttpResponse:
    """Keep the case as a draft, of the prompt it came from or of a new one."""
    new_name = request.POST.get("new_prompt", "").strip()
    try:
        draft = services.save_as_draft(
            project=project,
            user=request.user,
            actor=request.actor,
            case=forms.case_of(sheet),
            name=new_name or sheet.prompt_name,
            is_new=bool(new_name),
            model=sheet.models[0] if sheet.models else "",
            base=sheet.prompt_version,
            revision=int(sheet.revision) if sheet.revision.isdecimal() and len(sheet.revision) < 9 else None,
            overwrites="overwrite" in request.POST,
            now=clock.now(),
        )
    except DraftConflict:
        text = _("You have another draft of this prompt. Tick “replace it” to save over it, or open it first.")
        return _refused(request, project, sheet, Invalid(save=[text]))
    except NotFound:
        return _refused(request, project, sheet, Invalid(save=[_("Name the prompt that this shall be a draft of.")]))
    except Invalid as error:
        texts = error.details.get("name")
        return _refused(request, project, sheet, Invalid(save=texts) if isinstance(texts, list) else error)
    except DomainError as error:
        return _refused(request, project, sheet, Invalid(save=[error.text]))
    messages.success(request, _("Saved as your draft of %(name)s.") % {"name": draft.prompt.name})
    query = QueryDict(mutable=True)
    query.update({"prompt": draft.prompt.name, "draft": "1"})
    return redirect(f"{reverse('playground', kwargs={'project': project.slug})}?{query.urlencode()}")


# --- Showing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """An option of the picker. A model that nobody offers stays chosen, and running it says so."""

    name: str
    label: str
    is_chosen: bool


@dataclass(frozen=True)
class ChoiceGroup:
    """The models of one connection."""

    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Column:
    """One column: the model that is picked for it, and its answer."""

    index: int
    groups: tuple[ChoiceGroup, ...]
    chosen: str
    answer: AnswerView | None

    @property
    def number(self) -> int:
        """The column as people count."""
        return self.index + 1


def _page(
    request: ProjectRequest, project: Project, sheet: Sheet, *, found: RunView | None = None, status: int = 200
) -> HttpResponse:
    offered = [model for model in offered_models(project, now=clock.now()) if not model.is_embedding]
    models = [fitting_model(name, offered) for name in sheet.models] or [_usual_model(offered)]
    sheet = forms.with_unused(sheet, selectors.unused_variables(project, forms.draft_case(sheet)))
    answers = {} if found is None else {answer.column: answer for answer in found.answers}
    mine = request.GET.get("runs") != "all"
    context: dict[str, Any] = {
        "project": project,
        "sheet": sheet,
        "roles": ROLES,
        "syntaxes": [(Syntax.MUSTACHE, "Mustache"), (Syntax.JINJA, "Jinja"), (forms.LITERAL, _("none: as it stands"))],
        "types": list(VariableType),
        "columns": [
            _column(index, models[index] if index < len(models) else "", offered, answers.get(index))
            for index in range(MOST_COLUMNS)
        ],
        "run": found,
        "may_run": request.membership.rank.allows(Role.EDITOR),
        "runs": selectors.list_runs(project, actor=request.user if mine else None),
        "are_mine": mine,
        "publish_url": _publish_url(project, sheet),
        "page_keys": "playground/keys.html",
        "count": max(1, len(models)),
    }
    return page_or_fragment(request, "playground/playground.html", "playground/_sheet.html", context, status=status)


def _usual_model(offered: Sequence[OfferedModel]) -> str:
    """The first model of a connection, or else of the test models."""
    return offered[0].name if offered else f"test/{next(iter(TEST_MODELS))}"


def _column(index: int, chosen: str, offered: Sequence[OfferedModel], answer: AnswerView | None) -> Column:
    groups = [
        ChoiceGroup(
            _("Test model (free, answers by rule)") if is_test else connection,
            tuple(Choice(one.name, _label(one), one.name == chosen) for one in models),
        )
        for (is_test, connection), models in groupby(offered, key=lambda one: (one.is_test, one.connection))
    ]
    if chosen and all(one.name != chosen for one in offered):
        groups.insert(0, ChoiceGroup(_("No connection offers this"), (Choice(chosen, chosen, True),)))
    return Column(index, tuple(groups), chosen, answer)


def _label(model: OfferedModel) -> str:
    return model.name if model.is_price_known else _("%(model)s (price unknown)") % {"model": model.name}


def _publish_url(project: Project, sheet: Sheet) -> str:
    """Where the draft that is open becomes a version; empty where there is no such page, or no draft."""
    if sheet.origin != Origin.DRAFT or not sheet.prompt_name:
        return ""
    try:
        return reverse("prompt_publish", kwargs={"project": project.slug, "prompt": sheet.prompt_name})
    except NoReverseMatch:
        return ""
