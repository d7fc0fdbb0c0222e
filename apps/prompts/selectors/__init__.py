"""Reads of prompts, by what they are about."""

from apps.prompts.selectors.prompts import (
    LivePlace,
    PromptLine,
    PromptPage,
    get_draft,
    get_prompt,
    list_drafts,
    list_folders,
    list_prompts,
    list_tags,
    prompt_line,
)
from apps.prompts.selectors.versions import (
    LiveVersion,
    find_same_content,
    get_environment,
    get_version,
    latest_version,
    list_deployments,
    list_versions,
    live_deployments,
    live_versions,
)

__all__ = [
    "LivePlace",
    "LiveVersion",
    "PromptLine",
    "PromptPage",
    "find_same_content",
    "get_draft",
    "get_environment",
    "get_prompt",
    "get_version",
    "latest_version",
    "list_deployments",
    "list_drafts",
    "list_folders",
    "list_prompts",
    "list_tags",
    "list_versions",
    "live_deployments",
    "live_versions",
    "prompt_line",
]
