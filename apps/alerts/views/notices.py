"""The page of notices: what happened that people have to know."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from apps.alerts.selectors import notices as selectors
from apps.alerts.services import notices as services
from apps.core import clock
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role


@project_page()
@require_safe
def notices_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is new, and what have I not read?"""
    wanted = request.GET.get("level", "")
    level = wanted if wanted in selectors.LEVELS else ""
    only_unread = request.GET.get("unread") == "1"
    found = selectors.list_notices(
        project, role=request.membership.rank, user_id=request.user.pk, level=level, only_unread=only_unread
    )
    context = {
        "project": project,
        "tab": "notices",
        "level": level,
        "only_unread": only_unread,
        "unread": [one for one in found if one.is_unread],
        "read": [one for one in found if not one.is_unread],
        "unread_count": selectors.count_unread(project.pk, request.user.pk),
        "sends_mail": selectors.sends_mail(),
        "is_admin": request.membership.rank.allows(Role.ADMIN),
    }
    return render(request, "alerts/notices.html", context)


@project_page()
@require_POST
def notice_read(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Note that I have seen it, and go to where it points when that was asked for."""
    notice = selectors.get_notice(project, uuid, role=request.membership.rank)
    services.mark_read(notice=notice, user=request.user, now=clock.now())
    own = url_has_allowed_host_and_scheme(notice.path, allowed_hosts={request.get_host()})
    if request.POST.get("open") == "1" and notice.path.startswith("/") and own:
        return redirect(notice.path)
    return redirect("notices", project=project.slug)


@project_page()
@require_POST
def notices_read(request: ProjectRequest, project: Project) -> HttpResponse:
    """Note that I have seen all of them."""
    services.mark_all_read(project=project, role=request.membership.rank, user=request.user, now=clock.now())
    return redirect("notices", project=project.slug)
