"""Our protos against Envoy's API as envoy-data-plane describes it, and the stubs against our protos."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import betterproto2
import pytest
from envoy_data_plane.envoy.service.ext_proc.v3 import ExternalProcessorBase
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from router_extproc._pb.envoy.config.core.v3 import base_pb2
from router_extproc._pb.envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from router_extproc._pb.envoy.service.ext_proc.v3 import external_processor_pb2
from router_extproc._pb.envoy.type.v3 import http_status_pb2

PROTOS = Path(__file__).resolve().parents[2] / "protos"

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR for module in (base_pb2, processing_mode_pb2, external_processor_pb2, http_status_pb2)
)

SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
}


def messages() -> list[Descriptor]:
    return [message for file in FILES for message in file.message_types_by_name.values()]


def enums() -> list[EnumDescriptor]:
    assert not any(message.nested_types for message in messages()), "walk nested messages too"
    top = [enum for file in FILES for enum in file.enum_types_by_name.values()]
    return top + [enum for message in messages() for enum in message.enum_types]


def fields() -> list[FieldDescriptor]:
    return [field for message in messages() for field in message.fields]


def reference_module(package: str) -> ModuleType:
    return importlib.import_module(f"envoy_data_plane.{package}")


def reference(descriptor: Descriptor | EnumDescriptor) -> Any:
    """Envoy's class of that name; nested types are called OuterInner there."""
    package = descriptor.file.package
    name = descriptor.full_name.removeprefix(f"{package}.").replace(".", "")
    return getattr(reference_module(package), name)


def owner(field: FieldDescriptor) -> Descriptor:
    assert field.containing_type is not None
    return field.containing_type


def reference_field(field: FieldDescriptor) -> tuple[Any, Any]:
    """The annotation and the wire metadata of Envoy's field of that name."""
    named = {each.name: each for each in dataclasses.fields(reference(owner(field)))}
    assert field.name in named, f"Envoy has no field {field.full_name}"
    return named[field.name].type, named[field.name].metadata["betterproto"]


def short(item: Any) -> str:
    return str(item.full_name).rpartition(".v3.")[2]


@pytest.mark.parametrize("field", fields(), ids=short)
def test_a_field_has_envoys_number_type_cardinality_and_oneof(field: FieldDescriptor) -> None:
    _, meta = reference_field(field)
    oneof = field.containing_oneof.name if field.containing_oneof else None
    ours = (field.number, SCALARS[field.type], field.is_repeated, field.has_presence, oneof)
    assert ours == (meta.number, meta.proto_type, meta.repeated, meta.optional, meta.group)
    assert meta.unwrap is None


@pytest.mark.parametrize("field", [f for f in fields() if f.message_type or f.enum_type], ids=short)
def test_a_field_refers_to_envoys_type(field: FieldDescriptor) -> None:
    annotation, _ = reference_field(field)
    referred = field.message_type or field.enum_type
    assert referred is not None
    # For example "list[___config__core__v3__.HeaderValueOption]" or "HeaderMutation | None".
    alias, dot, name = re.sub(r"^list\[|\]$| \| None$", "", annotation).rpartition(".")
    module = importlib.import_module(reference(owner(field)).__module__)
    home = getattr(module, alias) if dot else module
    assert getattr(home, name) is reference(referred)


@pytest.mark.parametrize("enum", enums(), ids=short)
def test_an_enum_has_exactly_envoys_values(enum: EnumDescriptor) -> None:
    theirs = {member.name: int(member) for member in reference(enum)}
    assert {value.name: value.number for value in enum.values} == theirs


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_stands_where_envoy_has_it(file: FileDescriptor) -> None:
    assert (PROTOS / file.name).is_file()
    sources = inspect.getsource(reference_module(file.package)).partition('"""')[0]
    assert file.name in sources
    assert file.name.rpartition("/")[0].replace("/", ".") == file.package


def test_the_service_has_envoys_path_and_streams_both_ways() -> None:
    service = external_processor_pb2.DESCRIPTOR.services_by_name["ExternalProcessor"]
    (method,) = service.methods
    ((path, handler),) = ExternalProcessorBase().__mapping__().items()
    assert f"/{service.full_name}/{method.name}" == path
    assert (method.client_streaming, method.server_streaming) == (True, True)
    assert handler.cardinality.name == "STREAM_STREAM"
    assert handler.request_type is reference(method.input_type)
    assert handler.reply_type is reference(method.output_type)


def test_fields_that_are_left_out_survive_a_round_trip() -> None:
    theirs = betterproto2_request().__bytes__()
    ours = external_processor_pb2.ProcessingRequest.FromString(theirs)
    again = type(betterproto2_request()).parse(ours.SerializeToString())
    assert ours.request_headers.end_of_stream
    assert again == betterproto2_request()


def betterproto2_request() -> betterproto2.Message:
    from envoy_data_plane.envoy.config.core.v3 import Metadata
    from envoy_data_plane.envoy.service.ext_proc.v3 import HttpHeaders, ProcessingRequest
    from envoy_data_plane.google.protobuf import Struct

    return ProcessingRequest(
        request_headers=HttpHeaders(end_of_stream=True),
        metadata_context=Metadata(filter_metadata={"a": Struct.from_dict({"b": 1.0})}),
        attributes={"request": Struct.from_dict({"path": "/v1"})},
    )


def test_stubs_load_beside_another_copy_of_envoys_files() -> None:
    clash = """
from google.protobuf import descriptor_pb2, descriptor_pool
name = "envoy/service/ext_proc/v3/external_processor.proto"
file = descriptor_pb2.FileDescriptorProto(name=name, package="envoy.service.ext_proc.v3", syntax="proto3")
file.message_type.add(name="ProcessingRequest").field.add(name="other", number=1, type=9, label=1)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
import envoy_data_plane.envoy.service.ext_proc.v3
import grpc_health.v1.health
from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
assert "request_headers" in ProcessingRequest.DESCRIPTOR.fields_by_name
"""
    done = subprocess.run([sys.executable, "-c", clash], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_committed_stubs_are_what_the_protos_compile_to() -> None:
    command = [sys.executable, str(PROTOS / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_comments_are_our_own(file: FileDescriptor) -> None:
    """No run of six words of a comment stands in the documentation that Envoy's protos carry."""
    text = (PROTOS / file.name).read_text(encoding="utf-8")
    ours = words(" ".join(re.findall(r"//(.*)", text)))
    theirs = f" {' '.join(words(inspect.getsource(reference_module(file.package))))} "
    runs = [" ".join(ours[start : start + 6]) for start in range(len(ours) - 5)]
    assert runs
    assert [run for run in runs if f" {run} " in theirs] == []


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9_]+", text.lower())
