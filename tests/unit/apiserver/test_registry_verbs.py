"""Create, get, update, patch and dry run through the whole API server, over a memory store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from wherry.testing.api import TestApi, api_server
from wherry.testing.virtual_time import VirtualClock

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str = "web", replicas: int = 1) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
    }


async def test_a_created_object_has_uid_time_revision_and_owner(api: TestApi) -> None:
    status, obj = await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    metadata = obj["metadata"]
    assert status == 201 and obj["kind"] == "ConfigMap"
    assert metadata["uid"] and metadata["creationTimestamp"] and metadata["namespace"] == "default"
    assert metadata["managedFields"][0]["manager"] == "test"
    assert await api.call("GET", f"{CONFIG_MAPS}/a") == (200, obj)


async def test_a_taken_name_is_already_exists(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    status, body = await api.call("POST", CONFIG_MAPS, config_map("a"))
    assert (status, body["reason"], body["message"]) == (409, "AlreadyExists", 'configmaps "a" already exists')


async def test_generated_names_start_with_the_prefix(api: TestApi) -> None:
    names = set()
    for _ in range(5):
        _, obj = await api.call("POST", CONFIG_MAPS, {"metadata": {"generateName": "web-"}})
        names.add(obj["metadata"]["name"])
    assert len(names) == 5 and all(name.startswith("web-") and len(name) == 9 for name in names)


@pytest.mark.parametrize(("method", "path", "body", "code", "message"), [
    ("GET", f"{CONFIG_MAPS}/none", None, 404, 'configmaps "none" not found'),
    ("GET", "/apis/apps/v1/nothings", None, 404, "the server could not find the requested resource"),
    ("GET", "/apis/nope/v1", None, 404, "the server could not find the requested resource"),
    ("POST", CONFIG_MAPS, {"metadata": {}}, 422,
     'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'),
    ("POST", CONFIG_MAPS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}, 400,
     "the kind in the data (Secret) does not match the expected kind (ConfigMap)"),
    ("POST", CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "other"}}, 400,
     "the namespace of the provided object does not match the namespace sent on the request"),
    ("POST", "/api/v1/namespaces/gone/configmaps", {"metadata": {"name": "x"}}, 404, 'namespaces "gone" not found'),
    ("PUT", f"{CONFIG_MAPS}/x", {"metadata": {"name": "y"}}, 400,
     "the name of the object (y) does not match the name on the URL (x)"),
    ("POST", f"{CONFIG_MAPS}?dryRun=Some", {"metadata": {"name": "x"}}, 422, None),
    ("POST", f"{CONFIG_MAPS}/a", {"metadata": {"name": "a"}}, 405, None),
    ("DELETE", "/api/v1/namespaces/kube-system", None, 403,
     'namespaces "kube-system" is forbidden: this namespace may not be deleted'),
], ids=lambda value: str(value)[:40])
async def test_wrong_requests_get_the_upstream_status(
    api: TestApi, method: str, path: str, body: object, code: int, message: str | None,
) -> None:
    status, answer = await api.call(method, path, body)
    assert status == code and answer["kind"] == "Status" and answer["code"] == code
    assert message is None or answer["message"] == message


async def test_an_old_revision_is_a_conflict(api: TestApi) -> None:
    _, first = await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    await api.call("PUT", f"{CONFIG_MAPS}/a", {**first, "data": {"x": "2"}})
    status, body = await api.call("PUT", f"{CONFIG_MAPS}/a", {**first, "data": {"x": "3"}})
    assert status == 409
    assert body["message"] == ('Operation cannot be fulfilled on configmaps "a": the object has been modified; please '
                               "apply your changes to the latest version and try again")


async def test_an_update_without_revision_overwrites(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    status, obj = await api.call("PUT", f"{CONFIG_MAPS}/a", config_map("a", y="2"))
    assert (status, obj["data"]) == (200, {"y": "2"})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_write_that_changes_nothing_keeps_the_revision(api: TestApi, method: str) -> None:
    _, obj = await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    body = obj if method == "PUT" else {"data": {"x": "1"}}
    content_type = "application/json" if method == "PUT" else "application/merge-patch+json"
    status, again = await api.call(method, f"{CONFIG_MAPS}/a", body, content_type=content_type)
    assert status == 200 and again["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]


@pytest.mark.parametrize(("content_type", "body"), [
    ("application/merge-patch+json", {"data": {"y": "2"}}),
    ("application/strategic-merge-patch+json", {"data": {"y": "2"}}),
    ("application/json-patch+json", [{"op": "add", "path": "/data/y", "value": "2"}]),
    ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"y": "2"}}),
])
async def test_every_kind_of_patch_changes_the_object(api: TestApi, content_type: str, body: object) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    status, obj = await api.call("PATCH", f"{CONFIG_MAPS}/a?fieldManager=m", body, content_type=content_type)
    assert (status, obj["data"]) == (200, {"x": "1", "y": "2"})


async def test_an_unknown_patch_type_is_415(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    status, body = await api.call("PATCH", f"{CONFIG_MAPS}/a", {}, content_type="application/json")
    assert (status, body["reason"]) == (415, "UnsupportedMediaType")


async def test_apply_creates_owns_and_conflicts(api: TestApi) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("web", 2)}
    apply = {"content_type": "application/apply-patch+yaml"}
    status, obj = await api.call("PATCH", f"{DEPLOYMENTS}/web?fieldManager=one", body, **apply)
    assert status == 201 and obj["metadata"]["managedFields"][0]["operation"] == "Apply"
    status, again = await api.call("PATCH", f"{DEPLOYMENTS}/web?fieldManager=one", body, **apply)
    assert status == 200 and again["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
    body["spec"] = {**body["spec"], "replicas": 3}  # type: ignore[dict-item]
    status, refused = await api.call("PATCH", f"{DEPLOYMENTS}/web?fieldManager=two", body, **apply)
    assert status == 409 and refused["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    assert "conflict with \"one\"" in refused["message"] and ".spec.replicas" in refused["message"]
    status, forced = await api.call("PATCH", f"{DEPLOYMENTS}/web?fieldManager=two&force=true", body, **apply)
    assert (status, forced["spec"]["replicas"]) == (200, 3)


async def test_the_generation_counts_wishes_not_status(api: TestApi) -> None:
    _, obj = await api.call("POST", DEPLOYMENTS, deployment())
    assert obj["metadata"]["generation"] == 1
    merge = {"content_type": "application/merge-patch+json"}
    _, obj = await api.call("PATCH", f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"a": "b"}}}, **merge)
    assert obj["metadata"]["generation"] == 1
    _, obj = await api.call("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 5}}, **merge)
    assert obj["metadata"]["generation"] == 2
    _, obj = await api.call("PATCH", f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 5}}, **merge)
    assert obj["metadata"]["generation"] == 2 and obj["status"]["replicas"] == 5


async def test_status_and_spec_do_not_touch_each_other(api: TestApi) -> None:
    _, obj = await api.call("POST", DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}})
    assert obj["status"] == {}
    obj["status"], obj["spec"]["replicas"] = {"replicas": 7}, 4
    _, after = await api.call("PUT", f"{DEPLOYMENTS}/web", obj)
    assert after["spec"]["replicas"] == 4 and after["status"] == {}
    after["status"], after["spec"]["replicas"] = {"replicas": 7}, 1
    _, last = await api.call("PUT", f"{DEPLOYMENTS}/web/status", after)
    assert last["spec"]["replicas"] == 4 and last["status"] == {"replicas": 7}


async def test_scale_reads_and_writes_replicas(api: TestApi) -> None:
    await api.call("POST", DEPLOYMENTS, deployment())
    _, scale = await api.call("GET", f"{DEPLOYMENTS}/web/scale")
    assert scale["spec"] == {"replicas": 1} and scale["status"] == {"replicas": 0, "selector": "app=web"}
    status, scale = await api.call("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 3}},
                                   content_type="application/merge-patch+json")
    assert (status, scale["spec"]["replicas"]) == (200, 3)
    scale["spec"]["replicas"] = -1
    assert (await api.call("PUT", f"{DEPLOYMENTS}/web/scale", scale))[0] == 422


@pytest.mark.parametrize(("method", "path", "body"), [
    ("POST", CONFIG_MAPS, config_map("new")),
    ("PUT", f"{CONFIG_MAPS}/a", config_map("a", y="1")),
    ("DELETE", f"{CONFIG_MAPS}/a", None),
])
async def test_a_dry_run_stores_nothing(api: TestApi, method: str, path: str, body: object) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a", x="1"))
    before = api.server.registry.revision
    status, _ = await api.call(method, f"{path}?dryRun=All", body)
    assert status in (200, 201)
    await api.server.registry.fresh()
    assert await api.server.registry.store.revision() == max(before, await api.server.registry.store.revision())
    _, obj = await api.call("GET", f"{CONFIG_MAPS}/a")
    assert obj["data"] == {"x": "1"} and (await api.call("GET", f"{CONFIG_MAPS}/new"))[0] == 404


@pytest.mark.parametrize(("mode", "code"), [("Ignore", 201), ("Warn", 201), ("Strict", 400)])
async def test_unknown_fields_are_ignored_warned_about_or_refused(api: TestApi, mode: str, code: int) -> None:
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","name":"a"},"dato":{"x":"1"}}'
    response = await api.raw("POST", f"{CONFIG_MAPS}?fieldValidation={mode}", body)
    warnings = [value for name, value in response.headers if name == "warning"]
    assert response.status == code
    if mode == "Warn":
        assert '299 - "unknown field \\"dato\\""' in warnings and '299 - "duplicate field \\"metadata.name\\""' in warnings
    else:
        assert not warnings
    if mode == "Strict":
        assert b"strict decoding error: " in response.body  # type: ignore[operator]


async def test_strict_patch_with_an_unknown_field_is_invalid_as_upstream_says_it(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    status, obj = await api.call("PATCH", f"{CONFIG_MAPS}/a?fieldValidation=Strict", {"dato": {}},
                                 content_type="application/merge-patch+json")
    assert status == 422
    assert obj["message"] == ' "" is invalid: patch: Invalid value: "{\\"dato\\":{}}": strict decoding error: unknown field "dato"'


@pytest.mark.parametrize(("path", "is_warned"), [
    pytest.param("/api/v1/namespaces/default/endpoints", True, id="endpoints"),
    pytest.param("/api/v1/componentstatuses", True, id="component statuses"),
    pytest.param("/apis/discovery.k8s.io/v1/endpointslices", False, id="endpoint slices"),
])
async def test_deprecated_kinds_are_warned_of(api: TestApi, path: str, is_warned: bool) -> None:
    response = await api.raw("GET", path, b"")
    assert response.status == 200
    assert any(name == "warning" and " is deprecated in v1." in value for name, value in response.headers) is is_warned


async def test_secrets_take_string_data(api: TestApi) -> None:
    _, obj = await api.call("POST", "/api/v1/namespaces/default/secrets",
                            {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}})
    assert obj["data"] == {"password": "aHVudGVyMg=="} and "stringData" not in obj and obj["type"] == "Opaque"


async def test_racing_patches_all_land(api: TestApi) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    async with asyncio.TaskGroup() as tasks:
        for index in range(8):
            tasks.create_task(api.call("PATCH", f"{CONFIG_MAPS}/a", {"data": {f"k{index}": "v"}},
                                       content_type="application/merge-patch+json"))
    _, obj = await api.call("GET", f"{CONFIG_MAPS}/a")
    assert len(obj["data"]) == 8


async def test_put_creates_where_upstream_does(api: TestApi) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n"}, "spec": {}}
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n"
    lease["metadata"]["resourceVersion"] = ""  # type: ignore[index]
    status, _ = await api.call("PUT", path, lease)
    assert status in (201, 422)
    assert (await api.call("PUT", f"{CONFIG_MAPS}/absent", config_map("absent")))[0] == 404


async def test_yaml_goes_in_and_out(api: TestApi) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yam}\ndata: {a: 'b'}\n"
    response = await api.raw("POST", CONFIG_MAPS, body, content_type="application/yaml", accept="application/yaml")
    assert response.status == 201 and b"kind: ConfigMap" in response.body  # type: ignore[operator]


async def test_an_unknown_caller_gets_401(api: TestApi) -> None:
    from wherry.kit.http.message import Request

    response = await api.server.handle(Request("GET", "/api/v1/namespaces", "/api/v1/namespaces"))
    assert response.status == 401


async def test_events_are_served_in_both_groups(api: TestApi) -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
             "reason": "Started", "message": "hello", "type": "Normal"}
    assert (await api.call("POST", "/api/v1/namespaces/default/events", event))[0] == 201
    _, obj = await api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert obj["apiVersion"] == "events.k8s.io/v1" and obj["note"] == "hello" and obj["regarding"]["name"] == "p"
    _, found = await api.call("GET", "/api/v1/events?fieldSelector=involvedObject.name=p")
    assert len(found["items"]) == 1


@pytest.mark.virtual_time
async def test_applying_the_same_a_second_later_writes_nothing() -> None:
    clock = VirtualClock()
    async with api_server(clock=clock) as api:
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "same"}, "data": {"a": "b"}}
        path = "/api/v1/namespaces/default/configmaps/same?fieldManager=m"
        answers = []
        for _ in range(2):
            _, answer = await api.call("PATCH", path, wanted, content_type="application/apply-patch+yaml")
            answers.append(answer["metadata"])
            await asyncio.sleep(2)
        assert answers[0] == answers[1]
