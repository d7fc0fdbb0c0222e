"""Tables of evals, by what they are about."""

from apps.evals.models.gates import Gate, GateReport
from apps.evals.models.online import OnlineEval, OnlineItem, OnlineScorer, OnlineTally
from apps.evals.models.run_requests import RunRequest
from apps.evals.models.runs import (
    CachedAnswer,
    Comparison,
    EvalRun,
    Pace,
    Result,
    ResultScore,
    RunScorer,
)
from apps.evals.models.scorers import Calibration, CalibrationItem, Scorer, ScorerSecret, ScorerVersion
from apps.evals.models.sets import (
    EvalSet,
    Example,
    Revision,
    SetHealth,
    SetImport,
    SetImportPiece,
    StagedExample,
)

__all__ = [
    "CachedAnswer",
    "Calibration",
    "CalibrationItem",
    "Comparison",
    "EvalRun",
    "EvalSet",
    "Example",
    "Gate",
    "GateReport",
    "OnlineEval",
    "OnlineItem",
    "OnlineScorer",
    "OnlineTally",
    "Pace",
    "Result",
    "ResultScore",
    "Revision",
    "RunRequest",
    "RunScorer",
    "Scorer",
    "ScorerSecret",
    "ScorerVersion",
    "SetHealth",
    "SetImport",
    "SetImportPiece",
    "StagedExample",
]
