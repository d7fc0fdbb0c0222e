"""Routes of projects: the ways in, the settings pages, the API."""

from django.urls import path

from apps.projects import api
from apps.projects.views import api_keys, audit_trail, entrance, general, members, names

settings = "p/<slug:project>/settings"

urlpatterns = [
    path("", entrance.home, name="home"),
    path("setup/<str:token>", entrance.setup, name="setup"),
    path("invitations/<str:token>", entrance.invitation, name="invitation"),
    path("projects/new", entrance.project_new, name="project_new"),
    path(f"{settings}/general", general.settings_general, name="settings_general"),
    path(f"{settings}/delete", general.settings_delete, name="settings_delete"),
    path(f"{settings}/members", members.settings_members, name="settings_members"),
    path(f"{settings}/members/<uuid:member>/role", members.member_role, name="member_role"),
    path(f"{settings}/members/<uuid:member>/remove", members.member_remove, name="member_remove"),
    path(f"{settings}/leave", members.leave_project, name="leave_project"),
    path(f"{settings}/invitations/<uuid:invitation>/revoke", members.invitation_revoke, name="invitation_revoke"),
    path(f"{settings}/keys", api_keys.settings_keys, name="settings_keys"),
    path(f"{settings}/keys/<uuid:key>/rotate", api_keys.key_rotate, name="key_rotate"),
    path(f"{settings}/keys/<uuid:key>/revoke", api_keys.key_revoke, name="key_revoke"),
    path(f"{settings}/environments", names.settings_environments, name="settings_environments"),
    path(f"{settings}/environments/change", names.environment_change, name="environment_change"),
    path(f"{settings}/features", names.settings_features, name="settings_features"),
    path(f"{settings}/features/edit", names.feature_edit, name="feature_edit"),
    path(f"{settings}/audit", audit_trail.settings_audit, name="settings_audit"),
    path("api/v1/keys", api.KeysApi.as_view(), name="api_keys"),
    path("api/v1/keys/<uuid:key>/rotate", api.KeyRotationApi.as_view(), name="api_key_rotate"),
    path("api/v1/keys/<uuid:key>/revoke", api.KeyRevocationApi.as_view(), name="api_key_revoke"),
    path("api/v1/audit", api.AuditApi.as_view(), name="api_audit"),
]
