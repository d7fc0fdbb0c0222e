"""Which saved views a person sees."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.telemetry.models import SavedView


def list_views(project: Project, user: User, page: str) -> list[SavedView]:
    """The person's own views of a page and those that others share, by name."""
    mine_or_shared = Q(owner=user) | Q(is_shared=True)
    views = SavedView.objects.filter(mine_or_shared, project=project, page=page).select_related("owner")
    return sorted(views, key=lambda view: (view.name.casefold(), view.pk))


def all_views(project: Project, user: User) -> list[SavedView]:
    """The person's own views of every page and those that others share."""
    mine_or_shared = Q(owner=user) | Q(is_shared=True)
    views = SavedView.objects.filter(mine_or_shared, project=project).select_related("owner")
    return sorted(views, key=lambda view: (view.page, view.name.casefold(), view.pk))


def get_view(project: Project, user: User, uuid: UUID, *, may_change_others: bool) -> SavedView:
    """A view that the person may change: their own, or a shared one for those who may change others'.

    Raises NotFound for any other.
    """
    allowed = Q(owner=user)
    if may_change_others:
        allowed |= Q(is_shared=True)
    view = SavedView.objects.filter(allowed, project=project, uuid=uuid).first()
    if view is None:
        raise NotFound()
    return view
