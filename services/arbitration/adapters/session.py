"""The ports that depend on one conversation's config: the forms of its audio. The servicer makes them per stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from antiphon.arbitration.v1 import assistant_pb2
from services.arbitration.adapters.activation import GrpcActivation
from services.arbitration.adapters.channels import Channels
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.adapters.recognition import GrpcRecogniser
from services.arbitration.adapters.synthesis import GrpcSynthesis
from services.arbitration.stages.shedding import Shedding


@dataclass(frozen=True)
class SessionPorts:
    """Ears and voice of one conversation."""

    recogniser: GrpcRecogniser
    synthesis: GrpcSynthesis
    activation: GrpcActivation

    @classmethod
    def of(
        cls, channels: Channels, config: assistant_pb2.ConverseConfig, grammars: Grammars, shedding: Shedding
    ) -> Self:
        """For the formats, languages and options of `config`."""
        ears = GrpcRecogniser(channels, config, grammars, shedding)
        return cls(ears, GrpcSynthesis(channels, config), GrpcActivation(channels, config))
