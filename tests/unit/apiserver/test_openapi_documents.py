"""OpenAPI documents: what kubectl looks for in them, live CRDs, and the protobuf form."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from wherry.orchestration.apiserver.openapi import CustomSchema, Documents, answer
from wherry.orchestration.apiserver.openapi.schemas import references
from wherry.orchestration.apiserver.openapi.swagger import definition_v2
from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.resources import Resource

CRON_TAB = Resource(
    "stable.example.com", "v1", "CronTab", "crontabs", "crontab", True, subresources=("status", "scale"))
SCHEMA = {
    "type": "object", "description": "A cron table.",
    "properties": {
        "spec": {"type": "object", "required": ["cron"], "properties": {
            "cron": {"type": "string", "description": "When.", "pattern": "^.*$", "nullable": True},
            "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
        }},
    },
}
NAME = "com.example.stable.v1.CronTab"


@pytest.fixture(scope="module")
def documents() -> Documents:
    made = Documents()
    made.set_custom([CustomSchema(CRON_TAB, SCHEMA)])
    return made


def document(documents: Documents, path: str) -> dict[str, Any]:
    body = documents.v3_group_version(path)
    assert body is not None
    return orjson.loads(body)


@pytest.mark.parametrize("path", sorted({f"apis/{r.group}/{r.version}" if r.group else f"api/{r.version}" for r in BUILTIN}))
def test_every_reference_of_a_document_is_in_it(documents, path):
    found = document(documents, path)
    assert set(references(found)) <= set(found["components"]["schemas"])


def patch_operations(documents: Documents) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    for path in orjson.loads(documents.v3_index())["paths"]:
        for item in document(documents, path)["paths"].values():
            if item.get("patch", {}).get("x-kubernetes-action") == "patch":
                yield item["patch"]["x-kubernetes-group-version-kind"], item["patch"]


def test_every_patchable_kind_has_a_patch_operation_with_field_validation(documents):
    """kubectl decides about server-side validation by it."""
    found = {
        (gvk["group"], gvk["version"], gvk["kind"])
        for gvk, operation in patch_operations(documents)
        if "fieldValidation" in {parameter["name"] for parameter in operation["parameters"]}
    }
    assert {(r.group, r.version, r.kind) for r in [*BUILTIN, CRON_TAB] if "patch" in r.verbs} <= found


def test_strategic_merge_is_offered_for_built_in_kinds_only(documents):
    offered = {gvk["kind"]: set(operation["requestBody"]["content"]) for gvk, operation in patch_operations(documents)}
    assert "application/strategic-merge-patch+json" in offered["Pod"]
    assert "application/strategic-merge-patch+json" not in offered["CronTab"]
    assert "application/apply-patch+yaml" in offered["CronTab"]


def test_schemas_keep_what_client_side_apply_needs(documents):
    schemas = document(documents, "api/v1")["components"]["schemas"]
    pod = schemas["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name" and containers["x-kubernetes-list-map-keys"] == ["name"]
    assert pod["properties"]["spec"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}]


def test_list_path_comes_with_the_kind_that_explain_looks_for(documents):
    item = document(documents, "apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]
    assert item["post"]["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert item["get"]["x-kubernetes-action"] == "list"
    operations = [op["operationId"] for path in document(documents, "apis/apps/v1")["paths"].values()
                  for name, op in path.items() if name != "parameters"]
    assert len(operations) == len(set(operations))


def test_custom_kind_has_its_fields_and_the_common_ones(documents):
    found = document(documents, "apis/stable.example.com/v1")["components"]["schemas"]
    assert set(found[NAME]["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert found[NAME]["x-kubernetes-group-version-kind"] == [{"group": "stable.example.com", "kind": "CronTab", "version": "v1"}]
    assert f"{NAME}List" in found and "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in found
    assert "apiVersion" not in SCHEMA["properties"]


def test_a_changed_schema_changes_only_its_own_document():
    documents = Documents()
    documents.set_custom([CustomSchema(CRON_TAB, SCHEMA)])
    before = orjson.loads(documents.v3_index())["paths"]
    kept = documents.v3_group_version("apis/apps/v1")
    documents.set_custom([CustomSchema(CRON_TAB, {**SCHEMA, "description": "Other."})])
    after = orjson.loads(documents.v3_index())["paths"]
    assert {path for path in before if before[path] != after[path]} == {"apis/stable.example.com/v1"}
    assert documents.v3_group_version("apis/apps/v1") is kept
    assert b"Other." in (documents.v3_group_version("apis/stable.example.com/v1") or b"")
    documents.set_custom([])
    assert documents.v3_group_version("apis/stable.example.com/v1") is None
    assert b"CronTab" not in documents.v2_json()


def test_version_two_leaves_open_what_it_cannot_say(documents):
    spec = orjson.loads(documents.v2_json())["definitions"][NAME]["properties"]["spec"]["properties"]
    assert spec["port"] == {"type": "string", "format": "int-or-string"}
    assert "type" not in spec["cron"]
    assert spec["free"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert definition_v2({"allOf": [{"$ref": "#/components/schemas/A"}], "description": "b"}) == {
        "$ref": "#/definitions/A", "description": "b"}


def wire(body: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(field, value) pairs of one protobuf message."""
    position = 0

    def varint() -> int:
        nonlocal position
        shift = number = 0
        while True:
            byte = body[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(body):
        tag = varint()
        match tag & 7:
            case 0:
                yield tag >> 3, varint()
            case 1:
                yield tag >> 3, body[position:position + 8]
                position += 8
            case 2:
                length = varint()
                yield tag >> 3, body[position:position + length]
                position += length


def only(body: bytes, field: int) -> list[Any]:
    return [value for number, value in wire(body) if number == field]


def test_protobuf_holds_every_definition_and_path(documents):
    body, plain = documents.v2_protobuf(), orjson.loads(documents.v2_json())
    assert only(body, 1) == [b"2.0"]
    names = [only(named, 1)[0].decode() for named in only(only(body, 9)[0], 1)]
    assert names == list(plain["definitions"])
    paths = {only(named, 1)[0].decode(): only(named, 2)[0] for named in only(only(body, 8)[0], 2)}
    assert list(paths) == list(plain["paths"])
    patch = only(paths["/api/v1/namespaces/{namespace}/pods/{name}"], 8)[0]
    extensions = {only(named, 1)[0]: only(only(named, 2)[0], 2)[0] for named in only(patch, 13)}
    assert orjson.loads(extensions[b"x-kubernetes-group-version-kind"]) == {"group": "", "kind": "Pod", "version": "v1"}
    queries = [only(q, 4)[0] for p in only(patch, 8) for one in only(p, 1) for nb in only(one, 2) for q in only(nb, 3)]
    assert b"fieldValidation" in queries


@pytest.mark.parametrize(("path", "accept", "media_type"), [
    ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
     "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
    ("/openapi/v2", "application/json, */*", "application/json"),
    ("/openapi/v3", "*/*", "application/json"),
    ("/openapi/v3/apis/apps/v1", "application/json", "application/json"),
])
def test_answers_take_the_media_type_clients_ask_for(documents, path, accept, media_type):
    found = answer(documents, path, accept=accept)
    assert found is not None and found.status == 200
    assert dict(found.headers)["content-type"] == media_type


def test_known_hash_is_immutable_and_known_etag_is_not_sent_again(documents):
    url = orjson.loads(documents.v3_index())["paths"]["apis/apps/v1"]["serverRelativeURL"]
    path, _, fingerprint = url.partition("?hash=")
    found = answer(documents, path, fingerprint=fingerprint)
    assert found is not None and "immutable" in dict(found.headers)["cache-control"]
    again = answer(documents, path, if_none_match=dict(found.headers)["etag"])
    assert again is not None and again.status == 304
    assert answer(documents, "/openapi/v3/apis/none/v1") is None
    assert answer(documents, "/openapi/v4") is None
