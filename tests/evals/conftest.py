"""What tests of evals share."""

from __future__ import annotations

import pytest

from apps.evals.models import EvalSet
from apps.projects.models import Project
from apps.projects.types import Scope
from tests import factories
from tests.conftest import Api
from tests.evals import making


@pytest.fixture
def golden(project: Project) -> EvalSet:
    """`golden` in Alice's project, with three approved examples at revision 1."""
    return making.make_set(project, examples=making.CAPITALS)


@pytest.fixture
def evals_api(project: Project) -> Api:
    """A client with a key that may do evals and nothing else."""
    return Api(factories.make_key(project, Scope.EVALS))
