"""The kinds table and the schema data against the upstream schema they were made from."""

import importlib.util
import json
from pathlib import Path

import kubernetes_validate
import pytest

from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.schema_data import data, structure_of
from wherry.orchestration.objects.structure import Node, Shape

SOURCE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local" / "_definitions.json"


@pytest.fixture(scope="module")
def upstream() -> dict[tuple[str, str, str], dict]:
    definitions = json.loads(SOURCE.read_text())["$defs"]
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): schema
        for schema in definitions.values()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    }


def test_every_kind_of_the_table_is_an_upstream_kind(upstream):
    assert [r.kind for r in kinds.BUILTIN if (r.group, r.version, r.kind) not in upstream] == []


def test_every_stable_upstream_kind_with_metadata_is_in_the_table(upstream):
    """Lists, requests of subresources and what is in alpha or beta are not resources of their own."""
    table = {(r.group, r.version, r.kind) for r in kinds.BUILTIN}
    stable = {
        gvk for gvk, schema in upstream.items()
        if gvk[1] in ("v1", "v2") and "metadata" in schema.get("properties", {}) and not gvk[2].endswith("List")
    }
    assert stable - table == {
        ("policy", "v1", "Eviction"), ("autoscaling", "v1", "Scale"), ("authentication.k8s.io", "v1", "TokenRequest"),
        ("", "v1", "Status"),
    } & stable


def test_paths_and_kinds_are_unique():
    assert len({(r.group, r.version, r.plural) for r in kinds.BUILTIN}) == len(kinds.BUILTIN)
    short = [(name, r.group) for r in kinds.BUILTIN for name in r.short_names if r.version == "v1"]
    assert len(short) == len(set(short))


def test_lookup_by_path_and_kind():
    assert kinds.find("apps", "v1", "deployments") is kinds.DEPLOYMENTS
    assert kinds.by_kind("autoscaling/v2", "HorizontalPodAutoscaler") is kinds.HORIZONTAL_POD_AUTOSCALERS
    assert kinds.find("", "v1", "deployments") is None


@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=lambda r: f"{r.plural}.{r.api_version}")
def test_every_resource_has_structure_for_itself_and_its_list(resource):
    node = structure_of(resource.api_version, resource.kind)
    assert node is not None and node.shape is Shape.OBJECT and "apiVersion" in node.fields
    if "list" in resource.verbs:
        listing = structure_of(resource.api_version, resource.list_kind)
        assert listing is not None and listing.fields["items"].item is node


def at(node: Node, path: str) -> Node:
    for part in path.split("."):
        following = node.item if part == "*" else node.fields[part]
        assert following is not None
        node = following
    return node


@pytest.mark.parametrize(("kind", "path", "expected"), [
    pytest.param(("v1", "Pod"), "spec.containers", {"list_type": "map", "list_map_keys": ("name",),
                 "patch_strategy": ("merge",), "patch_merge_key": "name"}, id="containers merge by name"),
    pytest.param(("v1", "Service"), "spec.ports", {"list_map_keys": ("port", "protocol"), "patch_merge_key": "port"},
                 id="service ports have two keys"),
    pytest.param(("v1", "Pod"), "spec.volumes", {"patch_strategy": ("merge", "retainKeys")}, id="volumes keep keys"),
    pytest.param(("v1", "Pod"), "metadata.finalizers", {"list_type": "set", "patch_strategy": ("merge",)}, id="a set"),
    pytest.param(("v1", "Pod"), "spec.containers.*.resources.limits.*", {"shape": Shape.QUANTITY}, id="quantity"),
    pytest.param(("v1", "Service"), "spec.ports.*.targetPort", {"shape": Shape.INT_OR_STRING}, id="int or string"),
    pytest.param(("v1", "Secret"), "data.*", {"shape": Shape.STRING, "format": "byte"}, id="base64"),
    pytest.param(("v1", "Pod"), "spec.nodeSelector", {"map_type": "atomic"}, id="atomic map"),
    pytest.param(("coordination.k8s.io/v1", "Lease"), "spec.renewTime", {"shape": Shape.TIME, "format": "micro-time"},
                 id="micro time"),
    pytest.param(("apps/v1", "ControllerRevision"), "data", {"shape": Shape.ANY}, id="raw extension"),
])
def test_structure_carries_what_patches_need(kind, path, expected):
    node = structure_of(*kind)
    assert node is not None
    found = at(node, path)
    assert {key: getattr(found, key) for key in expected} == expected


def test_recursive_schema_is_one_cyclic_tree():
    node = structure_of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert node is not None
    schema = at(node, "spec.versions.*.schema.openAPIV3Schema")
    assert schema.fields["properties"].item is schema


def test_data_has_no_prose():
    assert "description" not in data()["definitions"]["io.k8s.api.core.v1.Pod"]
    assert structure_of("v1", "Nonsense") is None


def test_the_checked_in_file_is_what_the_tool_makes():
    tool = Path(__file__).parents[3] / "tools" / "generate_schema.py"
    spec = importlib.util.spec_from_file_location("generate_schema", tool)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    fresh = made.compact(json.loads(SOURCE.read_text())["$defs"])
    assert fresh == data(), "run tools/generate_schema.py"
