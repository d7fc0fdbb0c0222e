"""Tables of prompts, by what they are about."""

from apps.prompts.models.git import GitFile, GitNote, GitPush, GitRemote, HistoryStep
from apps.prompts.models.imports import ImportJob
from apps.prompts.models.prompts import Deployment, Draft, LiveMark, Prompt, Version
from apps.prompts.models.splits import LiveProcess, LiveSeen, Split, SplitArm

__all__ = [
    "Deployment",
    "Draft",
    "GitFile",
    "GitNote",
    "GitPush",
    "GitRemote",
    "HistoryStep",
    "ImportJob",
    "LiveMark",
    "LiveProcess",
    "LiveSeen",
    "Prompt",
    "Split",
    "SplitArm",
    "Version",
]
