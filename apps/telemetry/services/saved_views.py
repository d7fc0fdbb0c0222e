"""Saving, renaming and deleting views of lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlencode

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.projects.models import Project
from apps.telemetry.models import SavedView

MOST_VIEWS = 100


class BadView(DomainError):
    """A view cannot be saved as it is."""

    code, http_status = "invalid_view", 422


class NameTaken(DomainError):
    """The person has a view of that name on that page."""

    code, http_status = "view_name_taken", 409


def save_view(
    project: Project,
    owner: User,
    *,
    page: str,
    name: str,
    parameters: Iterable[tuple[str, str]],
    is_shared: bool,
    now: datetime,
) -> SavedView:
    """Keep the parameters of a list's address under a name; one's own view of that name is replaced.

    Raises BadView without a name, with too many parameters, or when the person has too many views.
    """
    query = urlencode([(name_, value) for name_, value in parameters if value])
    name = _name(name)
    if len(query) > SavedView.MAX_QUERY_CHARS:
        raise BadView("These filters are too long to be kept. Shorten what is searched for.")
    if SavedView.objects.filter(project=project, owner=owner).count() >= MOST_VIEWS:
        raise BadView(f"A person may keep {MOST_VIEWS} views. Delete one first.")
    view, _created = SavedView.objects.update_or_create(
        project=project,
        owner=owner,
        page=page,
        name=name,
        defaults={"query": query, "is_shared": is_shared},
        create_defaults={"query": query, "is_shared": is_shared, "created_at": now},
    )
    return view


def change_view(view: SavedView, *, name: str, is_shared: bool) -> None:
    """Rename a view and say who sees it. Raises BadView without a name, NameTaken for another view's."""
    name = _name(name)
    try:
        with transaction.atomic():
            SavedView.objects.filter(pk=view.pk).update(name=name, is_shared=is_shared)
    except IntegrityError as error:
        raise NameTaken("There is a view of that name already. Choose another.") from error


def delete_view(view: SavedView) -> None:
    """Delete a view; what it showed stays."""
    SavedView.objects.filter(pk=view.pk).delete()


def _name(text: str) -> str:
    name = " ".join(text.replace("\x00", "").split())
    if not name:
        raise BadView("Give the view a name.")
    if len(name) > SavedView.MAX_NAME_CHARS:
        raise BadView(f"A name has {SavedView.MAX_NAME_CHARS} characters at most.")
    return name
