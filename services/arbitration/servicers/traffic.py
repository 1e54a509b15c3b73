"""`TrafficService`: how sessions are split among the pools of a capability, and how each arm does."""

from __future__ import annotations

import time

from antiphon.arbitration.v1 import traffic_pb2
from services.arbitration.adapters.values import seconds, set_seconds, timestamp
from services.arbitration.routing.shared import ArmReport, SharedTraffic
from services.arbitration.routing.tallies import Observation
from services.arbitration.routing.traffic import Arm, ArmMode, Split
from services.runtime.calls import Call
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.pools import PoolDirectory

DEFAULT_WINDOW_S = 3600.0
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 60.0, 7 * 86_400.0
MAX_KEY = 128
MAX_COUNT = 10_000
MAX_ETAG = 18
_ADMIN = "admin"
_MODES = {
    traffic_pb2.ARM_MODE_UNSPECIFIED: ArmMode.SERVE,
    traffic_pb2.ARM_MODE_SERVE: ArmMode.SERVE,
    traffic_pb2.ARM_MODE_SHADOW: ArmMode.SHADOW,
}


class TrafficServicer:
    """One per replica, all of one mind; changing weights is for operators (scope `admin`)."""

    def __init__(self, shared: SharedTraffic, directory: PoolDirectory) -> None:
        self._shared = shared
        self._traffic = shared.traffic
        self._directory = directory

    async def SetWeights(  # noqa: N802 - named by the contract
        self, request: traffic_pb2.SetWeightsRequest, call: Call
    ) -> traffic_pb2.SetWeightsResponse:
        """Replaces the arms of a capability and locale."""
        call.require(_ADMIN)
        message = request.split
        for arm in message.arms:
            pool = self._directory.named(arm.pool)
            if pool is None or pool.capability != message.capability:
                raise FailedPrecondition(
                    f"no pool '{arm.pool}' of '{message.capability}' is running",
                    reason="POOL_NOT_RUNNING",
                    field="split.arms",
                )
        arms = tuple(Arm(arm.name, arm.pool, arm.weight, _mode(arm)) for arm in message.arms)
        split = Split(message.capability, message.locale, arms)
        stored = await self._shared.set(split, expected=_expected(message.etag), validate_only=request.validate_only)
        return traffic_pb2.SetWeightsResponse(split=_split(stored))

    async def GetWeights(  # noqa: N802 - named by the contract
        self, request: traffic_pb2.GetWeightsRequest, call: Call
    ) -> traffic_pb2.GetWeightsResponse:
        """The splits there are."""
        await self._shared.catch_up()
        splits = self._traffic.splits(request.capability, request.locale)
        return traffic_pb2.GetWeightsResponse(splits=[_split(split) for split in splits])

    async def ListArms(  # noqa: N802 - named by the contract
        self, request: traffic_pb2.ListArmsRequest, call: Call
    ) -> traffic_pb2.ListArmsResponse:
        """What was measured of each arm."""
        window = seconds(request.window) if request.HasField("window") else DEFAULT_WINDOW_S
        if not SHORTEST_WINDOW_S <= window <= LONGEST_WINDOW_S:
            raise InvalidInput("window is 1 min to 7 days", field="window")
        await self._shared.catch_up()
        reports = await self._shared.reports(window, request.capability, request.locale)
        return traffic_pb2.ListArmsResponse(reports=[_report(report) for report in reports])

    async def ReportArm(  # noqa: N802 - named by the contract
        self, request: traffic_pb2.ReportArmRequest, call: Call
    ) -> traffic_pb2.ReportArmResponse:
        """Takes what somebody else measured; the same key twice counts once."""
        call.require(_ADMIN)
        report = request.report
        if max(report.session_count, report.turn_count, report.error_count, report.refused_count) > MAX_COUNT:
            raise InvalidInput(f"counts of one report are at most {MAX_COUNT}", field="report")
        if len(request.idempotency_key) > MAX_KEY:
            raise InvalidInput(f"idempotency_key has at most {MAX_KEY} characters", field="idempotency_key")
        await self._shared.catch_up()
        self._traffic.observe(report.capability, report.locale, report.arm, Observation(time.time()))  # or NotFound
        key = request.idempotency_key
        if key and not await self._shared.first_time(call.principal.tenant, key):
            return traffic_pb2.ReportArmResponse(replayed=True)
        for observation in _observations(report):
            self._traffic.observe(report.capability, report.locale, report.arm, observation)
        return traffic_pb2.ReportArmResponse()


def _mode(arm: traffic_pb2.Arm) -> ArmMode:
    mode = _MODES.get(arm.mode)
    if mode is None:
        raise InvalidInput("mode is SERVE or SHADOW", field="split.arms.mode")
    return mode


def _expected(etag: str) -> int | None:
    if not etag:
        return None
    if not (etag.isascii() and etag.isdigit() and len(etag) <= MAX_ETAG):
        raise InvalidInput("etag is what GetWeights returned", field="split.etag")
    return int(etag)


def _observations(report: traffic_pb2.ArmReport) -> list[Observation]:
    now = time.time()
    metrics = {metric.name: metric.value for metric in report.metrics}
    found = [Observation(now, session=True) for _ in range(report.session_count)]
    found += [Observation(now, turn=True) for _ in range(report.turn_count)]
    found += [Observation(now, error=True) for _ in range(report.error_count)]
    found += [Observation(now, refused=True) for _ in range(report.refused_count)]
    found += [Observation(now, latency=seconds(latency.value)) for latency in report.latencies]
    return [*found, Observation(now, metrics=metrics)] if metrics else found


def _split(split: Split) -> traffic_pb2.TrafficSplit:
    modes = {ArmMode.SERVE: traffic_pb2.ARM_MODE_SERVE, ArmMode.SHADOW: traffic_pb2.ARM_MODE_SHADOW}
    return traffic_pb2.TrafficSplit(
        capability=split.capability,
        locale=split.locale,
        arms=[traffic_pb2.Arm(name=a.name, pool=a.pool, weight=a.weight, mode=modes[a.mode]) for a in split.arms],
        etag=str(split.version),
        update_time=timestamp(split.changed),
    )


def _report(report: ArmReport) -> traffic_pb2.ArmReport:
    message = traffic_pb2.ArmReport(
        capability=report.capability,
        locale=report.locale,
        arm=report.arm,
        pool=report.pool,
        session_count=report.sessions,
        turn_count=report.turns,
        error_count=report.errors,
        refused_count=report.refused,
        start_time=timestamp(report.start),
        end_time=timestamp(report.end),
    )
    for percentile, value in report.latencies.items():
        set_seconds(message.latencies.add(percentile=percentile).value, value)
    for name, metric in report.metrics.items():
        told = message.metrics.add(name=name, value=metric.value, count=metric.count)
        if metric.lower is not None and metric.upper is not None:
            told.lower, told.upper = metric.lower, metric.upper
    return message
