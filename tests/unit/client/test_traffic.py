"""`antiphon traffic`: how arms are written and shown."""

from __future__ import annotations

import argparse

import pytest

from antiphon.arbitration.v1 import traffic_pb2
from antiphon.cli import build_parser
from antiphon.commands import traffic

pytestmark = pytest.mark.unit


def parsed(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["traffic", *words])


def test_arms_are_read() -> None:
    options = parsed("set", "asr", "stable=asr:90", "canary=asr-next:10", "next=asr-next:0.2:shadow", "--locale", "de")
    arms = [traffic._arm(text) for text in options.arms]
    assert [(arm.name, arm.pool, arm.weight) for arm in arms] == [
        ("stable", "asr", 90.0), ("canary", "asr-next", 10.0), ("next", "asr-next", 0.2),
    ]  # fmt: skip
    assert arms[2].mode == traffic_pb2.ARM_MODE_SHADOW
    shown = traffic._split(traffic_pb2.TrafficSplit(capability="asr", locale="de", etag="3", arms=arms))
    assert shown[0] == "asr, de (etag 3)"
    assert "90.0% of sessions" in shown[1]
    assert "20.0% copied" in shown[3]


@pytest.mark.parametrize("text", ["", "stable", "stable=asr", "stable=asr:much", "=asr:1", "a=:1", "a=asr:1:sometimes"])
def test_arms_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no arm"):
        traffic._arm(text)


async def test_set_needs_arms_and_nothing_else_takes_them() -> None:
    for words in (("set",), ("set", "asr"), ("get", "asr", "a=b:1")):
        with pytest.raises(ValueError, match="arms"):
            await traffic.run(parsed(*words))


def test_a_report_is_told_in_words() -> None:
    report = traffic_pb2.ArmReport(capability="nlu", arm="next", pool="nlu-next", session_count=2, turn_count=5)
    report.latencies.add(percentile=50).value.FromMilliseconds(12)
    report.metrics.add(name="intent_agreement", value=0.8, count=5, lower=0.4, upper=1.0)
    lines = traffic._report(report)
    assert lines[0] == "nlu next (nlu-next, all languages): 2 sessions, 5 turns, 0 errors, 0 refused"
    assert "p50 12 ms" in lines[1]
    assert "0.800  0.400 to 1.000  (5)" in lines[2]
