"""The runtime's promises on Ray Serve, through HAProxy; the same as on plain grpc.aio (tests/integration/runtime)."""

from __future__ import annotations

import pytest

from tests.fixtures import runtime_cases as cases

pytestmark = pytest.mark.system


class TestErrors(cases.ErrorCases):
    pass


class TestCalls(cases.CallCases):
    pass


class TestDiscovery(cases.DiscoveryCases):
    pass


class TestIdentity(cases.IdentityCases):
    pass


class TestAdmission(cases.AdmissionCases):
    pass


class TestLimits(cases.LimitCases):
    pass


class TestFlow(cases.FlowCases):
    pass
