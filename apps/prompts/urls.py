"""Routes of prompts; their hot door is not among them (see `doors`).

A name may hold `/`, so what ends in a word of its own stands before what is only a name. Pages put such words behind
`/-/`, which is no name; the API's words are reserved (`names.RESERVED`).
"""

from django.urls import path

from apps.prompts.api import prompts as api

urlpatterns = [
    path("api/v1/prompts", api.PromptsApi.as_view(), name="api_prompts"),
    path("api/v1/prompts/<path:prompt>/versions", api.VersionsApi.as_view(), name="api_prompt_versions"),
    path("api/v1/prompts/<path:prompt>/versions/<str:version>", api.VersionApi.as_view(), name="api_prompt_version"),
    path("api/v1/prompts/<path:prompt>", api.PromptApi.as_view(), name="api_prompt"),
]
