"""The rules of the contract that buf does not know, checked on the descriptors that protoc makes of `protos/`."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from tools import generate

pytestmark = pytest.mark.unit

DURATION = ".google.protobuf.Duration"
FLOATS = {FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE}
INTEGERS = {FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64}
# How the comment of a fractional number gives its range: "0 to 1", ">= 0", "no range", or where it is given.
RANGE = re.compile(r"-?\d[\d,.]*(?: \([^)]*\))? to -?\d|[<>]= ?\d|no range|fraction of 1|gives unit and range")
UNIT_IN_NAME = re.compile(r"_(ms|msec|millis|micros|nanos|secs?|seconds|minutes)$")


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """The descriptors of our files, with comments."""
    target = tmp_path_factory.mktemp("contract") / "contract.binpb"
    generate.copy_googleapis()
    generate.protoc(generate.contract_files(), "--include_source_info", f"--descriptor_set_out={target}")
    return list(FileDescriptorSet.FromString(target.read_bytes()).file)


@pytest.fixture(scope="module")
def messages(contract: list[FileDescriptorProto]) -> dict[str, DescriptorProto]:
    """Every message by its full name with a leading dot, nested ones included."""
    return {f".{file.package}.{name}": message for file in contract for name, message, _ in walk_messages(file)}


def walk_messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto, tuple[int, ...]]]:
    """Every message of a file with its name in the package and its source path."""
    pending: list[tuple[str, DescriptorProto, tuple[int, ...]]] = [
        (message.name, message, (4, index)) for index, message in enumerate(file.message_type)
    ]
    while pending:
        name, message, path = pending.pop()
        yield name, message, path
        for index, nested in enumerate(message.nested_type):
            pending.append((f"{name}.{nested.name}", nested, (*path, 3, index)))


def walk_enums(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto, tuple[int, ...]]]:
    """Every enum of a file with its name in the package and its source path."""
    for index, enum in enumerate(file.enum_type):
        yield enum.name, enum, (5, index)
    for name, message, path in walk_messages(file):
        for index, enum in enumerate(message.enum_type):
            yield f"{name}.{enum.name}", enum, (*path, 4, index)


def walk_methods(contract: list[FileDescriptorProto]) -> Iterator[tuple[str, MethodDescriptorProto, str]]:
    """Every RPC with its full name and comment."""
    for file in contract:
        comments = comments_of(file)
        for number, service in enumerate(file.service):
            for index, method in enumerate(service.method):
                name = f"{file.package}.{service.name}.{method.name}"
                yield name, method, comments.get((6, number, 2, index), "")


def comments_of(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The leading comment of every element of a file by its source path."""
    return {
        tuple(location.path): location.leading_comments.strip()
        for location in file.source_code_info.location
        if location.leading_comments.strip()
    }


def elements(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Everything of a file that a user reads, with its source path."""
    for name, message, path in walk_messages(file):
        yield name, path
        for index, field in enumerate(message.field):
            yield f"{name}.{field.name}", (*path, 2, index)
        for index, oneof in enumerate(message.oneof_decl):
            if not oneof.name.startswith("_"):  # The compiler's own for an `optional` field.
                yield f"{name}.{oneof.name}", (*path, 8, index)
    for name, enum, path in walk_enums(file):
        yield name, path
        for index, value in enumerate(enum.value):
            yield f"{name}.{value.name}", (*path, 2, index)
    for number, service in enumerate(file.service):
        yield service.name, (6, number)
        for index, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (6, number, 2, index)


def fields_of(contract: list[FileDescriptorProto]) -> Iterator[tuple[str, FieldDescriptorProto, str]]:
    """Every field with its full name and comment."""
    for file in contract:
        comments = comments_of(file)
        for name, message, path in walk_messages(file):
            for index, field in enumerate(message.field):
                yield f"{file.package}.{name}.{field.name}", field, comments.get((*path, 2, index), "")


def oneof_fields(message: DescriptorProto, oneof: str) -> list[str]:
    """The names of the fields of a oneof, in order."""
    numbers = [index for index, declared in enumerate(message.oneof_decl) if declared.name == oneof]
    return [field.name for field in message.field if field.HasField("oneof_index") and field.oneof_index in numbers]


def test_everything_is_commented(contract: list[FileDescriptorProto]) -> None:
    bare = [
        f"{file.package}.{name}"
        for file in contract
        for name, path in elements(file)
        if len(comments_of(file).get(path, "")) < 2
    ]
    assert bare == []


def test_every_rpc_tells_its_errors(contract: list[FileDescriptorProto]) -> None:
    silent = [name for name, _, comment in walk_methods(contract) if not re.search(r"^ ?Errors", comment, re.MULTILINE)]
    assert silent == []


def test_fractional_numbers_have_a_range(contract: list[FileDescriptorProto]) -> None:
    vague = [
        name
        for name, field, comment in fields_of(contract)
        if field.type in FLOATS and not RANGE.search(" ".join(comment.lower().split()))
    ]
    assert vague == []


def test_times_are_durations(contract: list[FileDescriptorProto]) -> None:
    numbers = [
        name
        for name, field, _ in fields_of(contract)
        if field.type in FLOATS | INTEGERS and UNIT_IN_NAME.search(field.name)
    ]
    assert numbers == []
    offsets = {name: field.type_name for name, field, _ in fields_of(contract) if name.endswith("_offset")}
    assert len(offsets) > 20
    assert {name: kind for name, kind in offsets.items() if kind != DURATION} == {}


def test_tenant_and_principal_are_no_part_of_a_message(contract: list[FileDescriptorProto]) -> None:
    named = [name for name, _, _ in fields_of(contract) if re.search(r"tenant|principal", name.rpartition(".")[2])]
    assert named == []


def test_streams_are_config_first_with_an_end_in_band(
    contract: list[FileDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    streams = {
        name: oneof_fields(messages[method.input_type], "request")
        for name, method, _ in walk_methods(contract)
        if method.client_streaming
    }
    assert len(streams) == 7
    for name, kinds in streams.items():
        assert kinds[0] == "config", name
        assert re.fullmatch("end|end_of_(audio|text|input)", kinds[-1]), name


def test_audio_is_acknowledged_by_every_event(
    contract: list[FileDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    listening = {
        name: messages[method.output_type]
        for name, method, _ in walk_methods(contract)
        if method.client_streaming and "audio" in {field.name for field in messages[method.input_type].field}
    }
    assert set(listening) == {
        "antiphon.activation.v1.ActivationService.StreamingDetect",
        "antiphon.arbitration.v1.AssistantService.Converse",
        "antiphon.asr.v1.SpeechRecognitionService.StreamingRecognize",
        "antiphon.speaker.v1.SpeakerService.Enroll",
        "antiphon.speaker.v1.SpeakerService.StreamingVerify",
    }
    for name, response in listening.items():
        [offset] = [field for field in response.field if field.name == "received_audio_offset"]
        assert (offset.type_name, offset.HasField("oneof_index")) == (DURATION, False), name


def test_a_planned_cut_can_be_announced_on_every_stream(
    contract: list[FileDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    for name, method, _ in walk_methods(contract):
        if method.client_streaming and method.server_streaming:
            events = oneof_fields(messages[method.output_type], "event")
            assert {"session_started", "session_ending"} <= set(events), name


def test_what_changes_the_world_takes_an_idempotency_key(messages: dict[str, DescriptorProto]) -> None:
    for name in (
        ".antiphon.arbitration.v1.ConverseConfig",
        ".antiphon.arbitration.v1.TextInput",
        ".antiphon.arbitration.v1.StartTurn",
        ".antiphon.skill.v1.ExecuteRequest",
        ".antiphon.dialogue.v1.RespondRequest",
        ".antiphon.nlu.v1.UpdateSkillRequest",
    ):
        assert "idempotency_key" in {field.name for field in messages[name].field}, name


def test_stubs_are_those_of_the_contract(tmp_path: Path) -> None:
    generate.copy_googleapis()
    generate.generate(tmp_path)
    assert generate.drift(tmp_path) == []


def test_a_changed_stub_is_named_as_drift(tmp_path: Path) -> None:
    generate.copy_googleapis()
    generate.generate(tmp_path)
    changed = Path("antiphon/asr/v1/recognition_pb2.py")
    (tmp_path / changed).write_text("")
    (tmp_path / "antiphon/asr/v1/later_pb2.py").write_text("")
    assert generate.drift(tmp_path) == ["missing  antiphon/asr/v1/later_pb2.py", f"differs  {changed}"]


def test_path_equals_import() -> None:
    for file in generate.contract_files():
        module = importlib.import_module(file.removesuffix(".proto").replace("/", ".") + "_pb2")
        assert file == module.DESCRIPTOR.name
