"""What is shown of other API servers: order of groups, plain lists as entries, schemas beside our own."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Broken
from wherry.orchestration.apiserver.aggregation import services
from wherry.orchestration.apiserver.aggregation.backends import identity_headers
from wherry.orchestration.apiserver.discovery import Discovery
from wherry.orchestration.apiserver.discovery.foreign import Foreign, resources_in, resources_of_plain
from wherry.orchestration.apiserver.openapi.documents import Documents
from wherry.orchestration.apiserver.openapi.foreign import merged, part_of, url_in
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.client.discovery import read
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.resources import Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WIDGETS = Resource("example.com", "v1", "Widget", "widgets", "widget", True)
PLAIN = {"resources": [
    {"name": "flunders/status", "kind": "Flunder", "verbs": ["get"]},
    {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": ["get", "list"],
     "shortNames": ["fl"]},
]}


def groups_of(discovery: Discovery) -> list[str]:
    response = discovery.answer("/apis", "application/json")
    assert response is not None and isinstance(response.body, bytes)
    return [group["name"] for group in orjson.loads(response.body)["groups"]]


@pytest.mark.parametrize(("priority", "after"), [(20000, ""), (1500, "apps"), (1, "example.com")])
def test_a_foreign_group_stands_where_its_priority_puts_it(priority: int, after: str) -> None:
    found = groups_of(Discovery([*kinds.BUILTIN, WIDGETS], [Foreign("f.example.com", "v1", priority, 1)]))
    place = found.index("f.example.com")
    assert (place == 0) == (not after) and (not after or found.index(after) < place)
    assert priority != 1500 or place < found.index("example.com")


def test_the_versions_of_a_group_go_by_their_priority_and_then_by_their_names() -> None:
    rows = [Foreign("example.com", version, 1000, priority) for version, priority in (("v1beta1", 100), ("v2", 100), ("v0", 900))]
    response = Discovery([WIDGETS], rows).answer("/apis/example.com", "application/json")
    assert response is not None and isinstance(response.body, bytes)
    assert [v["version"] for v in orjson.loads(response.body)["versions"]] == ["v0", "v2", "v1", "v1beta1"]


def test_a_plain_list_becomes_entries_with_their_subresources() -> None:
    [entry] = resources_of_plain(PLAIN, "wardle.example.com", "v1")
    assert entry["responseKind"] == {"group": "wardle.example.com", "version": "v1", "kind": "Flunder"}
    assert (entry["resource"], entry["scope"], entry["shortNames"]) == ("flunders", "Namespaced", ["fl"])
    assert [sub["subresource"] for sub in entry["subresources"]] == ["status"]


def aggregated(**entry: Any) -> dict[str, Any]:
    resource = {"resource": "x", "scope": "Cluster"} | entry
    return {"items": [{"metadata": {"name": "g"}, "versions": [{"version": "v1", "resources": [resource]}]}]}


def test_a_subresource_alone_names_its_resource() -> None:
    [entry] = resources_of_plain({"resources": [{"name": "pods/http_requests", "kind": "Value", "namespaced": True, "verbs": ["get"]}]},
                                 "custom.metrics.k8s.io", "v1")
    assert (entry["resource"], entry["scope"], entry["verbs"]) == ("pods", "Namespaced", [])
    assert entry["subresources"][0]["subresource"] == "http_requests"


@pytest.mark.parametrize("entry", [
    {"resource": None}, {"resource": ".."}, {"resource": "a/b"}, {"resource": "a?b"}, {"resource": ""}, {"scope": "Everywhere"},
    {"verbs": 3}, {"verbs": ["get", 3]}, {"shortNames": "x"}, {"responseKind": "X"}, {"responseKind": {"kind": 1}},
    {"singularResource": 1}, {"subresources": [{"subresource": "a/../b"}]}, {"subresources": ["status"]},
], ids=str)
def test_an_entry_that_clients_would_fall_over_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(Broken):
        resources_in(aggregated(**entry), "g", "v1")


@given(st.data())
def test_what_is_shown_can_be_read_by_our_own_clients(data: st.DataObject) -> None:
    value = st.none() | st.integers(0, 2) | st.lists(st.sampled_from(["get", 1]), max_size=2) | st.sampled_from(
        ["x", "a/b", "Namespaced", "Cluster"]) | st.dictionaries(st.sampled_from(["kind", "group"]), st.sampled_from(["K", 1]))
    entry = st.dictionaries(st.sampled_from(
        ["resource", "name", "scope", "verbs", "responseKind", "singularResource", "namespaced", "subresources", "kind"]), value)
    document = {"resources": [data.draw(entry)]} | aggregated(**data.draw(entry))
    for make in (resources_in, resources_of_plain):
        try:
            shown = make(document, "g", "v1")
        except Broken:
            continue
        read([{"items": [{"metadata": {"name": "g"}, "versions": [{"version": "v1", "resources": shown}]}]}])


@pytest.mark.parametrize(("index", "url"), [
    ({"paths": {"apis/g/v1": {"serverRelativeURL": "/openapi/v3/apis/g/v1?hash=A"}}}, "/openapi/v3/apis/g/v1?hash=A"),
    ({"paths": {}}, ""), ({}, ""), ([], None), ({"paths": [1]}, None), ({"paths": {"apis/g/v1": "x"}}, None),
    ({"paths": {"apis/g/v1": {"serverRelativeURL": "https://elsewhere/"}}}, None),
])
def test_where_the_schemas_are_is_a_path_of_the_backend(index: Any, url: str | None) -> None:
    if url is None:
        with pytest.raises(Broken):
            url_in(index, "apis/g/v1")
    else:
        assert url_in(index, "apis/g/v1") == url


def test_an_entry_without_a_kind_gets_an_empty_one() -> None:
    document = aggregated()
    found = resources_in(document, "g", "v1")
    assert found is not None and found[0]["responseKind"] == {"group": "", "version": "", "kind": ""}
    assert resources_in(document, "g", "v2") is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["items", "versions", "g", "v1", "$ref", "#/definitions/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["items", "metadata", "name", "versions", "version", "resources", "subresources", "responseKind", "paths",
                         "definitions", "parameters", "/apis/g/v1", "get", "responses", "a", "$ref", "schema", "in"]),
        inner, max_size=4), max_leaves=12)


@given(st.dictionaries(st.sampled_from(["items", "resources", "paths", "definitions", "parameters"]), json_values))
def test_rubbish_is_refused_and_never_breaks_our_own_documents(document: dict[str, Any]) -> None:
    for take in (lambda: resources_in(document, "g", "v1"), lambda: resources_of_plain(document, "g", "v1")):
        try:
            take()
        except Broken:
            pass
    try:
        part = part_of(document, "/apis/g/v1")
    except Broken:
        return
    documents = Documents([kinds.LEASES])
    documents.set_foreign([Foreign("g", "v1", 1, 1, openapi_v2=part, openapi_v2_etag="1")])
    assert documents.v2_json() and documents.v2_protobuf()


def swagger(text: str) -> dict[str, Any]:
    return {
        "swagger": "2.0", "info": {"title": "", "version": ""},
        "parameters": {"pretty": {"name": "pretty", "in": "query", "type": "string"}},
        "paths": {
            "/apis/g/v1/flunders": {"parameters": [{"$ref": "#/parameters/pretty"}], "get": {"responses": {"200": {
                "description": "OK", "schema": {"$ref": "#/definitions/List"}}}}},
            "/apis/other/v1/things": {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Other"}}}}},
        },
        "definitions": {"List": {"type": "object", "properties": {"items": {"$ref": "#/definitions/Item"}}},
                        "Item": {"description": text}, "Other": {"type": "string"}},
    }


def test_only_what_a_group_version_reaches_is_taken_with_shared_parameters_written_out() -> None:
    part = part_of(swagger("a"), "/apis/g/v1")
    assert list(part["paths"]) == ["/apis/g/v1/flunders"] and set(part["definitions"]) == {"List", "Item"}
    assert part["paths"]["/apis/g/v1/flunders"]["parameters"] == [{"name": "pretty", "in": "query", "type": "string"}]


def test_a_definition_of_another_content_is_renamed_and_one_of_the_same_is_shared() -> None:
    part = part_of(swagger("theirs"), "/apis/g/v1")
    ours = {"paths": {}, "definitions": {"Item": {"description": "ours"}}}
    both = merged(ours, part)
    assert both["definitions"]["Item"] == {"description": "ours"} and both["definitions"]["Item_v2"] == {"description": "theirs"}
    assert both["definitions"]["List"]["properties"]["items"] == {"$ref": "#/definitions/Item_v2"}
    shared = merged({"paths": {}, "definitions": {"Item": {"description": "theirs"}}}, part)
    assert set(shared["definitions"]) == {"List", "Item"}


def test_who_asks_is_told_with_one_header_a_group_and_escaped_keys() -> None:
    user = User("jürgen", "7", ("a", "b,c"), {"authentication.kubernetes.io/pod-name": ("web",)})
    assert identity_headers(user) == [
        ("x-remote-user", "jürgen".encode().decode("latin-1")), ("x-remote-uid", "7"), ("x-remote-group", "a"),
        ("x-remote-group", "b,c"), ("x-remote-extra-authentication.kubernetes.io%2fpod-name", "web")]


BACKEND = services.Backend("v1.g", "g", "v1", "ns", "api", 443, "", False)
SERVICE = {"spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": 443}]}}
SLICE = {"endpoints": [{"conditions": {"ready": True}}], "ports": [{"name": "https", "port": 8443}]}


@pytest.mark.parametrize(("service", "slices", "reason"), [
    pytest.param(None, [], "ServiceNotFound", id="no service"),
    pytest.param({"spec": {"ports": [{"port": 80}]}}, [SLICE], "ServicePortError", id="another port"),
    pytest.param(SERVICE, [], "EndpointsNotFound", id="no slice"),
    pytest.param(SERVICE, [{**SLICE, "endpoints": [{"conditions": {"ready": False}}]}], "MissingEndpoints", id="none ready"),
    pytest.param(SERVICE, [{**SLICE, "ports": [{"name": "http", "port": 80}]}], "MissingEndpoints", id="another port name"),
    pytest.param(SERVICE, [SLICE], "", id="well"),
    pytest.param({"spec": {"type": "ExternalName", "externalName": "x"}}, [], "", id="external"),
])
def test_the_clusters_own_objects_tell_why_a_backend_is_not_available(service: Any, slices: Any, reason: str) -> None:
    problem = services.problem_of(BACKEND, service, slices)
    assert (problem.reason if problem else "") == reason


def test_the_condition_keeps_its_time_while_its_status_stays() -> None:
    obj = {"metadata": {"name": "v1.g"}, "spec": {"service": {"name": "api", "namespace": "ns"}, "version": "v1", "group": "g"}}
    gone = services.with_available(obj, services.Problem("ServiceNotFound", "x"), NOW)
    later = services.with_available(gone, services.Problem("MissingEndpoints", "y"), NOW.replace(year=2027))
    assert later["status"]["conditions"][0]["lastTransitionTime"] == gone["status"]["conditions"][0]["lastTransitionTime"]
    assert services.with_available(later, services.Problem("MissingEndpoints", "y"), NOW.replace(year=2028)) is later
    well = services.with_available(later, None, NOW.replace(year=2028))
    assert services.is_available(well) and not services.is_available(later)
