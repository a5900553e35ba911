"""Discovery documents as kubectl and client-go ask for them."""

import re

import orjson
import pytest

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver.discovery import Discovery, version_info
from wherry.orchestration.apiserver.discovery.documents import storage_version_hash, version_priority
from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

WIDGETS = [
    Resource("example.com", version, "Widget", "widgets", "widget", True, ("wd",), ("all",), ("status", "scale"))
    for version in ("v1alpha1", "v1", "v2beta1")
]
DISCOVERY = Discovery([*kinds.BUILTIN, *WIDGETS], server_address="10.0.0.1:6443")
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KUBECTL = f"{V2},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


def get(path: str, accept: str = "application/json", etag: str = "") -> tuple[Response, Object]:
    response = DISCOVERY.answer(path, accept, etag)
    assert response is not None and isinstance(response.body, bytes)
    return response, orjson.loads(response.body) if response.body else {}


def header(response: Response, name: str) -> str:
    return dict(response.headers)[name]


@pytest.mark.parametrize(("accept", "media_type", "kind"), [
    pytest.param(KUBECTL, V2, "APIGroupDiscoveryList", id="kubectl"),
    pytest.param("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", V2, "APIGroupDiscoveryList",
                 id="other order"),
    pytest.param(V2 + ";profile=nopeer", V2, "APIGroupDiscoveryList", id="profile"),
    pytest.param(V2.replace("v=v2", "v=v2beta1"), V2.replace("v=v2", "v=v2beta1"), "APIGroupDiscoveryList", id="v2beta1"),
    pytest.param(V2.replace("v=v2", "v=v3") + ", application/json", "application/json", "APIGroupList", id="unknown version"),
    pytest.param("application/json, */*", "application/json", "APIGroupList", id="old kubectl"),
    pytest.param("", "application/json", "APIGroupList", id="curl"),
])
def test_root_answers_in_the_form_asked_for(accept: str, media_type: str, kind: str) -> None:
    response, body = get("/apis", accept)
    assert header(response, "content-type") == media_type and body["kind"] == kind


def test_protobuf_alone_is_not_acceptable() -> None:
    with pytest.raises(ApiError) as raised:
        DISCOVERY.answer("/apis", "application/vnd.kubernetes.protobuf")
    assert raised.value.code == 406


def test_known_etag_is_answered_with_304() -> None:
    first, _ = get("/apis", KUBECTL)
    again, body = get("/apis", KUBECTL, header(first, "etag"))
    assert (again.status, body) == (304, {})
    assert get("/apis", KUBECTL, '"other"')[0].status == 200


def test_aggregated_core_group() -> None:
    _, body = get("/api", KUBECTL)
    (core,) = body["items"]
    assert core["metadata"].get("name", "") == "" and core["versions"][0]["freshness"] == "Current"
    pods = next(r for r in core["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert (pods["scope"], pods["singularResource"], pods["shortNames"], pods["categories"]) == (
        "Namespaced", "pod", ["po"], ["all"])
    eviction = next(s for s in pods["subresources"] if s["subresource"] == "eviction")
    assert eviction == {"subresource": "eviction", "verbs": ["create"],
                        "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}}


def test_custom_versions_are_ordered_by_stability() -> None:
    _, group = get("/apis/example.com")
    assert [v["version"] for v in group["versions"]] == ["v1", "v2beta1", "v1alpha1"]
    assert group["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}


def test_version_order_is_upstreams() -> None:
    texts = ["foo10", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "v10", "v2"]
    assert sorted(texts, key=version_priority, reverse=True) == [
        "v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]


def test_plain_lists() -> None:
    _, versions = get("/api")
    assert versions["versions"] == ["v1"]
    _, core = get("/api/v1")
    by_name = {entry["name"]: entry for entry in core["resources"]}
    assert core["groupVersion"] == "v1" and by_name["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert by_name["serviceaccounts/token"] == {
        "name": "serviceaccounts/token", "singularName": "", "namespaced": True, "group": "authentication.k8s.io",
        "version": "v1", "kind": "TokenRequest", "verbs": ["create"]}
    _, apps = get("/apis/apps/v1")
    scale = next(entry for entry in apps["resources"] if entry["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    assert storage_version_hash(kinds.DEPLOYMENTS) == "8aSe+NMegvE="


@pytest.mark.parametrize("path", ["/apis/none.io", "/apis/apps/v9", "/api/v2", "/apis/", "/apis/apps/v1/x"])
def test_unknown_path(path: str) -> None:
    assert (DISCOVERY.answer(path, "") is None) == (path != "/apis/")


def test_core_first_then_groups_in_the_order_given() -> None:
    _, body = get("/apis")
    names = [group["name"] for group in body["groups"]]
    assert names[:2] == ["apiregistration.k8s.io", "apps"] and names[-1] == "example.com"
    assert DISCOVERY.paths[:3] == ["/api", "/api/v1", "/apis"]


def test_version_is_a_semantic_version_of_1_37() -> None:
    info = version_info()
    assert re.fullmatch(r"v1\.37\.\d+(\+[a-z0-9.]+)?", info["gitVersion"])
    assert (info["major"], info["minor"]) == ("1", "37")
