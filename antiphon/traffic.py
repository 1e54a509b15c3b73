"""`TrafficClient`: how sessions are split among the pools of a capability, and how each arm does. For operators."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from antiphon.arbitration.v1 import traffic_pb2, traffic_pb2_grpc
from antiphon.client import UNARY_TIMEOUT_S, CapabilityClient


class TrafficClient(CapabilityClient):
    """Splits of traffic, on all replicas of the front door."""

    async def splits(self, capability: str = "", locale: str = "") -> list[traffic_pb2.TrafficSplit]:
        """The splits there are. Raises AntiphonApiError."""
        request = traffic_pb2.GetWeightsRequest(capability=capability, locale=locale)
        answer: traffic_pb2.GetWeightsResponse = await self.call(self._stub().GetWeights, request, UNARY_TIMEOUT_S)
        return list(answer.splits)

    async def set(self, split: traffic_pb2.TrafficSplit, *, validate_only: bool = False) -> traffic_pb2.TrafficSplit:
        """Replaces the arms of a capability and locale; with an etag, only those. Raises AntiphonApiError (ABORTED)."""
        request = traffic_pb2.SetWeightsRequest(split=split, validate_only=validate_only)
        answer: traffic_pb2.SetWeightsResponse = await self.call(self._stub().SetWeights, request, UNARY_TIMEOUT_S)
        return answer.split

    async def arms(
        self, capability: str = "", locale: str = "", *, window_s: int = 3600
    ) -> list[traffic_pb2.ArmReport]:
        """What was measured of each arm in the last `window_s` seconds, 60 to 604,800. Raises AntiphonApiError."""
        request = traffic_pb2.ListArmsRequest(capability=capability, locale=locale, window=Duration(seconds=window_s))
        answer: traffic_pb2.ListArmsResponse = await self.call(self._stub().ListArms, request, UNARY_TIMEOUT_S)
        return list(answer.reports)

    def _stub(self) -> traffic_pb2_grpc.TrafficServiceStub:
        return traffic_pb2_grpc.TrafficServiceStub(self.channel)
