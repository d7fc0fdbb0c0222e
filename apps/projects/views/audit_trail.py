"""Settings: who did what."""

from __future__ import annotations

from django.http import HttpResponse

from apps.core.http import page_or_fragment
from apps.projects import selectors
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import AuditFilterForm
from apps.projects.models import Project, Role

PAGE_SIZE = 50


@project_page(role=Role.ADMIN)
def settings_audit(request: ProjectRequest, project: Project) -> HttpResponse:
    """The audit trail of the project, or the sign-ins of its people, newest first."""
    form = AuditFilterForm(request.GET)
    chosen = form.cleaned_data if form.is_valid() else {}
    page = selectors.list_audit(
        project,
        people=chosen.get("of") == "people",
        action=chosen.get("action", ""),
        actor=chosen.get("actor", ""),
        before=chosen.get("cursor"),
        limit=PAGE_SIZE,
    )
    context = {"project": project, "form": form, "page": page, "is_filtered": any(chosen.values())}
    return page_or_fragment(request, "settings/audit.html", "settings/_audit_table.html", context)
