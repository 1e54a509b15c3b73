"""grpcurl, which knows of Antiphon only what the servers tell it: reflection, health, description, rich errors."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from services.registry import CAPABILITIES

pytestmark = pytest.mark.system


def grpcurl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["grpcurl", "-plaintext", "-max-time", "20", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def answer(*arguments: str) -> Any:
    finished = grpcurl(*arguments)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_front_door_lists_its_services(target: str) -> None:
    services = grpcurl(target, "list").stdout.split()
    assert "antiphon.arbitration.v1.AssistantService" in services
    assert "grpc.health.v1.Health" in services
    assert "antiphon.types.v1.CapabilityService" in services


def test_the_front_door_is_healthy(target: str) -> None:
    assert answer(target, "grpc.health.v1.Health/Check") == {"status": "SERVING"}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_pool_describes_itself(target: str, capability: str) -> None:
    # `application` names a pool of choice; without it the path of the call leads to the default one.
    described = answer("-H", f"application: {capability}", target, "antiphon.types.v1.CapabilityService/Describe")
    assert described["capability"] == capability
    assert described["serving_engine"] == "SERVING_ENGINE_RAY_SERVE"


def test_a_capability_is_reached_by_its_path_alone(target: str) -> None:
    request = {"alternatives": [{"spokenText": "what is twelve plus thirty"}], "languageCode": "en-US"}
    read = answer("-d", json.dumps(request), target, "antiphon.nlu.v1.LanguageUnderstandingService/Interpret")
    assert read["interpretations"][0]["intent"].startswith("calculator.")


def test_bad_input_is_refused_with_the_field_and_a_reason(target: str) -> None:
    request = {"alternatives": [], "languageCode": "en-US"}
    refused = grpcurl(
        "-format-error", "-d", json.dumps(request), target, "antiphon.nlu.v1.LanguageUnderstandingService/Interpret"
    )
    error = json.loads(refused.stderr)
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    assert error["code"] == 3, "INVALID_ARGUMENT"
    assert details["ErrorInfo"]["domain"] == "antiphon"
    assert details["BadRequest"]["field_violations"][0]["field"] == "alternatives"
