"""The one way out: nothing of the product talks to another server but through this package (docs/egress.md).

`check_url` judges an address when it is saved, without asking anybody. `Exchange` sends one request and guards it; what
it connects to is exactly what was checked. `resolve` is for programs that connect themselves, such as git. Callers in
threads use `run_in_loop` and `iterate_in_loop`. No transaction may be open.
"""

from apps.core.egress.exchange import Exchange, Patience
from apps.core.egress.failures import (
    Cut,
    EgressFailed,
    NotHttp,
    Redirected,
    Stage,
    TimedOut,
    TooLarge,
    Unreachable,
)
from apps.core.egress.loops import close, finish, iterate_in_loop, run_in_loop, session
from apps.core.egress.resolving import check_url, resolve
from apps.core.egress_rules import CheckedUrl, EgressRefused

__all__ = [
    "CheckedUrl",
    "Cut",
    "EgressFailed",
    "EgressRefused",
    "Exchange",
    "NotHttp",
    "Patience",
    "Redirected",
    "Stage",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "check_url",
    "close",
    "finish",
    "iterate_in_loop",
    "resolve",
    "run_in_loop",
    "session",
]
