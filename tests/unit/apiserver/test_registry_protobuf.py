"""Protobuf bodies as kubectl and client-go send them, and hostile bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.apiserver.protobuf.decoding import MAGIC, MalformedMessage, decode, table


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(api_version: str, kind: str, message: bytes) -> bytes:
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, message)


def test_a_config_map() -> None:
    message = field(1, field(1, "a") + field(3, "") + field(8, b"")) + field(2, field(1, "k") + field(2, "v"))
    assert decode(body("v1", "ConfigMap", message)) == {
        "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "v"}}


def test_inlined_structs_quantities_and_times() -> None:
    volume = field(1, "data") + field(2, field(2, field(1, "") + field(2, field(1, "1Gi"))))
    container = field(1, "c") + field(8, field(1, field(1, "cpu") + field(2, field(1, "100m"))))
    pod = field(1, field(1, "p") + field(8, field(1, 1700000000))) + field(2, field(1, volume) + field(2, container))
    obj = decode(body("v1", "Pod", pod))
    assert obj["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert obj["spec"]["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}]
    assert obj["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "100m"}}


def test_pointers_keep_their_zero_and_plain_fields_lose_it() -> None:
    deployment = field(2, field(1, 0) + field(5, 0))
    assert decode(body("apps/v1", "Deployment", deployment))["spec"] == {"replicas": 0}


@pytest.mark.parametrize(("parts", "expected"), [
    (field(1, 0) + field(2, 80) + field(3, ""), 80), (field(1, 1) + field(2, 0) + field(3, "http"), "http"),
    (field(1, 0) + field(2, -1), -1),
])
def test_int_or_string(parts: bytes, expected: object) -> None:
    service = field(2, field(1, field(1, "x") + field(3, 80) + field(4, parts)))
    assert decode(body("v1", "Service", service))["spec"]["ports"][0]["targetPort"] == expected


def test_schemas_of_definitions_become_json_again() -> None:
    limit = varint(9 << 3 | 1) + struct.pack("<d", 1.5)
    schema = field(5, "object") + limit + field(30, field(1, 1))
    version = field(1, "v1") + field(2, 1) + field(3, 1) + field(4, field(1, schema))
    crd = field(2, field(1, "example.com") + field(4, "Namespaced") + field(7, version))
    obj = decode(body("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd))
    assert obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "type": "object", "maximum": 1.5, "additionalProperties": True}


def test_delete_options_are_of_every_group() -> None:
    assert decode(body("apps/v1", "DeleteOptions", field(1, 5)))["gracePeriodSeconds"] == 5


@pytest.mark.parametrize("data", [b"", b"k8s", b"{}", body("v9", "Pod", b""), body("v1", "Nothing", b""),
                                  MAGIC + b"\xff" * 40, body("v1", "Pod", b"\x0a\xff")])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data)


@given(st.binary(max_size=200))
def test_random_bytes_never_crash(data: bytes) -> None:
    try:
        decode(body("v1", "Pod", data))
    except MalformedMessage:
        pass


def test_every_type_named_is_in_the_table() -> None:
    scalars = {"string", "int32", "int64", "uint32", "uint64", "bool", "bytes", "double", "float"}
    missing = {kind for fields in table().values() for _, kind, _ in fields.values() if kind not in scalars | table().keys()}
    assert not {name for name in missing if "alpha" not in name and "beta" not in name}
