"""What can be done with prompts. Called as `from apps.prompts import services as prompts`."""

from apps.prompts.services.deploying import ProtectedEnvironment, deploy, withdraw
from apps.prompts.services.drafts import DraftConflict, discard_draft, save_draft
from apps.prompts.services.prompts import (
    Changes,
    NameTaken,
    StillLive,
    amend_prompt,
    archive_prompt,
    change_prompt,
    create_prompt,
    rename_prompt,
    restore_prompt,
)
from apps.prompts.services.publishing import (
    BreakingLowered,
    MovedOn,
    NumberTaken,
    Plan,
    SameContent,
    create_with_version,
    plan,
    publish,
)

__all__ = [
    "BreakingLowered",
    "Changes",
    "DraftConflict",
    "MovedOn",
    "NameTaken",
    "NumberTaken",
    "Plan",
    "ProtectedEnvironment",
    "SameContent",
    "StillLive",
    "amend_prompt",
    "archive_prompt",
    "change_prompt",
    "create_prompt",
    "create_with_version",
    "deploy",
    "discard_draft",
    "plan",
    "publish",
    "rename_prompt",
    "restore_prompt",
    "save_draft",
    "withdraw",
]
