"""Routes of prompts; their hot door is not among them (see `doors`).

A name may hold `/`, so what ends in a word of its own stands before what is only a name. Pages put such words behind
`/-/`, which is no name; the API's words are reserved (`names.RESERVED`).
"""

from django.urls import path

from apps.prompts.api import deployments as deployments_api
from apps.prompts.api import git as git_api
from apps.prompts.api import git_clone
from apps.prompts.api import imports as imports_api
from apps.prompts.api import prompts as api
from apps.prompts.views import diffs, editor, prompts, publishing
from apps.prompts.views import git as git_pages
from apps.prompts.views import imports as import_pages
from apps.prompts.views import live as live_pages

urlpatterns = [
    path("p/<slug:project>/prompts", prompts.prompts_page, name="prompts"),
    path("p/<slug:project>/prompts/-/new", prompts.prompt_new, name="prompt_new"),
    path("p/<slug:project>/prompts/-/import", import_pages.prompt_import, name="prompt_import"),
    path("p/<slug:project>/prompts/-/import/<uuid:job>", import_pages.prompt_import_job, name="prompt_import_job"),
    path("p/<slug:project>/prompts/<path:prompt>/-/edit", editor.prompt_edit, name="prompt_edit"),
    path("p/<slug:project>/prompts/<path:prompt>/-/preview", editor.prompt_preview, name="prompt_preview"),
    path("p/<slug:project>/prompts/<path:prompt>/-/draft", editor.prompt_draft, name="prompt_draft"),
    path("p/<slug:project>/prompts/<path:prompt>/-/publish", publishing.prompt_publish, name="prompt_publish"),
    path("p/<slug:project>/prompts/<path:prompt>/-/diff", diffs.prompt_diff, name="prompt_diff"),
    path("p/<slug:project>/prompts/<path:prompt>/-/versions", prompts.prompt_versions, name="prompt_versions"),
    path(
        "p/<slug:project>/prompts/<path:prompt>/-/versions/<str:version>", prompts.prompt_version, name="prompt_version"
    ),
    path("p/<slug:project>/prompts/<path:prompt>/-/settings", prompts.prompt_settings, name="prompt_settings"),
    path("p/<slug:project>/prompts/<path:prompt>/-/live", live_pages.prompt_live, name="prompt_live"),
    path("p/<slug:project>/prompts/<path:prompt>/-/deploy", live_pages.prompt_deploy, name="prompt_deploy"),
    path("p/<slug:project>/prompts/<path:prompt>/-/withdraw", live_pages.prompt_withdraw, name="prompt_withdraw"),
    path("p/<slug:project>/prompts/-/git", git_pages.prompts_git, name="prompts_git"),
    path("p/<slug:project>/prompts/-/git/connect", git_pages.prompts_git_connect, name="prompts_git_connect"),
    path("p/<slug:project>/prompts/-/git/disconnect", git_pages.prompts_git_disconnect, name="prompts_git_disconnect"),
    path("p/<slug:project>/prompts/-/git/sync", git_pages.prompts_git_sync, name="prompts_git_sync"),
    path("p/<slug:project>/prompts/-/git/compare", git_pages.prompts_git_compare, name="prompts_git_compare"),
    path("p/<slug:project>/prompts/<path:prompt>/-/git", git_pages.prompt_git_state, name="prompt_git_state"),
    # What is only a name comes last.
    path("p/<slug:project>/prompts/<path:prompt>", prompts.prompt_page, name="prompt"),
    path("api/v1/git", git_api.GitStateApi.as_view(), name="api_git"),
    path("api/v1/git/sync", git_api.GitSyncApi.as_view(), name="api_git_sync"),
    path("git/<slug:project>.git/info/refs", git_clone.GitRefsApi.as_view(), name="git_refs"),
    path("git/<slug:project>.git/git-upload-pack", git_clone.GitUploadPackApi.as_view(), name="git_upload_pack"),
    path("git/<slug:project>.git/git-receive-pack", git_clone.GitReceivePackApi.as_view(), name="git_receive_pack"),
    path("api/v1/prompts", api.PromptsApi.as_view(), name="api_prompts"),
    path("api/v1/prompts/import", imports_api.ImportApi.as_view(), name="api_prompts_import"),
    path("api/v1/prompts/export", imports_api.ExportApi.as_view(), name="api_prompts_export"),
    path("api/v1/prompts/<path:prompt>/versions", api.VersionsApi.as_view(), name="api_prompt_versions"),
    path("api/v1/prompts/<path:prompt>/versions/<str:version>", api.VersionApi.as_view(), name="api_prompt_version"),
    path(
        "api/v1/prompts/<path:prompt>/deployments",
        deployments_api.DeploymentsApi.as_view(),
        name="api_prompt_deployments",
    ),
    path("api/v1/prompts/<path:prompt>", api.PromptApi.as_view(), name="api_prompt"),
]
