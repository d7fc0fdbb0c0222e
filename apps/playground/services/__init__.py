"""Everything that is written: runs, the answers they get, drafts made of them, and what is deleted with age."""

from apps.playground.services.answering import AlreadyRun, Call, NotYours, claim, finish
from apps.playground.services.keeping import close_lost, purge
from apps.playground.services.plainly import run_plainly
from apps.playground.services.runs import Source, TooManyRunning, create_run, refuse_answer
from apps.playground.services.saving import save_as_draft

__all__ = [
    "AlreadyRun",
    "Call",
    "NotYours",
    "Source",
    "TooManyRunning",
    "claim",
    "close_lost",
    "create_run",
    "finish",
    "purge",
    "refuse_answer",
    "run_plainly",
    "save_as_draft",
]
