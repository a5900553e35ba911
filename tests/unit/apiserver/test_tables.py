"""What `kubectl get` shows, kind by kind."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import tables
from wherry.orchestration.apiserver.sheets import sheet_of
from wherry.orchestration.apiserver.tables.ages import human, since
from wherry.orchestration.apiserver.tables.jsonpath import JsonPath
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BORN = "2026-11-23T11:55:00Z"


def row(resource: Resource, obj: Object, columns: list[Object] | None = None, **more: Any) -> list[Any]:
    chosen = tables.custom_printer(columns) if columns is not None else sheet_of(resource).columns
    obj = {"metadata": {"name": "x", "creationTimestamp": BORN} | obj.pop("metadata", {})} | obj
    table = tables.render(chosen, [obj], now=NOW, **more)
    try:
        data = orjson.dumps(obj)
    except TypeError:
        data = b""  # a number that no stored object can have
    kept = tables.row_of(chosen, obj, data) if data else None
    if kept is not None:  # what is kept with an object shows the same at any moment
        for include, shown in (("Metadata", table), ("None", tables.render(chosen, [obj], now=NOW, **more | {"include_object": "None"}))):
            assert orjson.loads(kept.shown(NOW.timestamp(), data, include)) == shown["rows"][0]
    cells = table["rows"][0]["cells"]
    assert len(cells) == len(table["columnDefinitions"])
    return list(cells)


@pytest.mark.parametrize(("seconds", "text"), [
    (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (121, "2m1s"), (599, "9m59s"), (600, "10m"),
    (179 * 60, "179m"), (180 * 60, "3h"), (181 * 60, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"),
    (49 * 3600, "2d1h"), (192 * 3600, "8d"), (193 * 3600, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"),
    (731 * 86400, "2y1d"), (8 * 365 * 86400 + 86400, "8y"),
])
def test_duration_reads_as_upstreams(seconds: int, text: str) -> None:
    assert human(seconds) == text


def test_age_of_nothing_is_unknown() -> None:
    assert [since(value, NOW) for value in (None, "", "junk", BORN)] == ["<unknown>", "<unknown>", "<invalid>", "5m"]


def waiting(reason: str) -> Object:
    return {"state": {"waiting": {"reason": reason}}, "ready": False}


RUNNING = {"name": "a", "state": {"running": {}}, "ready": True, "restartCount": 0}
DONE = {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "restartCount": 0}
INIT = {"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]}
SIDECAR = {"initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}


@pytest.mark.parametrize(("spec", "status", "metadata", "expected"), [
    pytest.param({}, {"phase": "Pending"}, {}, ["0/1", "Pending", "0"], id="pending"),
    pytest.param({}, {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}, {},
                 ["0/1", "SchedulingGated", "0"], id="gated"),
    pytest.param({}, {"phase": "Running", "containerStatuses": [RUNNING]}, {}, ["1/1", "Running", "0"], id="running"),
    pytest.param({}, {"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}, {},
                 ["0/1", "ImagePullBackOff", "0"], id="image missing"),
    pytest.param({}, {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff") | {
        "restartCount": 3, "lastState": {"terminated": {"finishedAt": "2026-11-23T11:58:00Z"}}}]}, {},
        ["0/1", "CrashLoopBackOff", "3 (2m ago)"], id="crashing"),
    pytest.param({}, {"phase": "Succeeded", "containerStatuses": [DONE]}, {}, ["0/1", "Completed", "0"], id="completed"),
    pytest.param({}, {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]}, {},
                 ["0/1", "ExitCode:2", "0"], id="exit code"),
    pytest.param({}, {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 137, "signal": 9}}}]},
                 {}, ["0/1", "Signal:9", "0"], id="signal"),
    pytest.param({}, {"phase": "Failed", "reason": "Evicted"}, {}, ["0/1", "Evicted", "0"], id="evicted"),
    pytest.param({}, {"phase": "Running", "containerStatuses": [RUNNING]}, {"deletionTimestamp": BORN},
                 ["1/1", "Terminating", "0"], id="terminating"),
    pytest.param({}, {"phase": "Succeeded", "containerStatuses": [DONE]}, {"deletionTimestamp": BORN},
                 ["0/1", "Completed", "0"], id="finished and deleted"),
    pytest.param({}, {"phase": "Running", "reason": "NodeLost"}, {"deletionTimestamp": BORN},
                 ["0/1", "Unknown", "0"], id="node lost"),
    pytest.param(INIT, {"phase": "Pending", "initContainerStatuses": [DONE, {"state": {"running": {}}}]}, {},
                 ["0/1", "Init:1/2", "0"], id="second init container runs"),
    pytest.param(INIT, {"phase": "Pending", "initContainerStatuses": [waiting("CrashLoopBackOff") | {"restartCount": 1}]},
                 {}, ["0/1", "Init:CrashLoopBackOff", "1"], id="init container crashes"),
    pytest.param(INIT, {"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 1}}}]}, {},
                 ["0/1", "Init:ExitCode:1", "0"], id="init container failed"),
    pytest.param(INIT, {"phase": "Pending", "initContainerStatuses": [waiting("PodInitializing")]}, {},
                 ["0/1", "Init:0/2", "0"], id="init container not begun"),
    pytest.param(SIDECAR, {"phase": "Running", "containerStatuses": [RUNNING], "initContainerStatuses": [
        RUNNING | {"name": "s", "started": True, "restartCount": 2}]}, {}, ["2/2", "Running", "2"], id="sidecar counts"),
    pytest.param({"containers": [{"name": "a"}, {"name": "b"}]}, {
        "phase": "Running", "containerStatuses": [DONE, RUNNING], "conditions": [{"type": "Ready", "status": "False"}]},
        {}, ["1/2", "NotReady", "0"], id="one of two done"),
])
def test_pod_status(spec: Object, status: Object, metadata: Object, expected: list[str]) -> None:
    spec = {"containers": [{"name": "a"}]} | spec
    assert row(kinds.PODS, {"spec": spec, "status": status, "metadata": metadata})[1:4] == expected


def test_pod_wide_columns() -> None:
    cells = row(kinds.PODS, {
        "spec": {"nodeName": "n1", "containers": [], "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "a", "status": "True"}]}})
    assert cells[4:] == ["5m", "10.0.0.1", "n1", "<none>", "1/2"]


def test_finished_pod_is_marked_completed() -> None:
    pod = {"metadata": {"name": "x"}, "status": {"phase": "Succeeded"}}
    (rendered,) = tables.render(sheet_of(kinds.PODS).columns, [pod], now=NOW)["rows"]
    assert rendered["conditions"][0]["type"] == "Completed"


TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(("resource", "obj", "expected"), [
    pytest.param(kinds.DEPLOYMENTS, {
        "spec": {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}},
        ["x", "2/3", 3, 1, "5m", "a,b", "i:1,j", "app=web"], id="deployment"),
    pytest.param(kinds.REPLICA_SETS, {"spec": {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR},
                                      "status": {"replicas": 2, "readyReplicas": 1}},
                 ["x", 3, 2, 1, "5m", "a,b", "i:1,j", "app=web"], id="replicaset"),
    pytest.param(kinds.STATEFUL_SETS, {"spec": {"replicas": 2, "template": TEMPLATE}}, ["x", "0/2", "5m", "a,b", "i:1,j"],
                 id="statefulset"),
    pytest.param(kinds.DAEMON_SETS, {"spec": {"template": TEMPLATE}, "status": {"numberReady": 1}},
                 ["x", 0, 0, 1, 0, 0, "<none>", "5m", "a,b", "i:1,j", "<none>"], id="daemonset"),
    pytest.param(kinds.JOBS, {"spec": {"completions": 2, "template": TEMPLATE}, "status": {
        "succeeded": 2, "startTime": BORN, "completionTime": "2026-11-23T11:55:42Z",
        "conditions": [{"type": "Complete", "status": "True"}]}},
        ["x", "Complete", "2/2", "42s", "5m", "a,b", "i:1,j", "<none>"], id="job"),
    pytest.param(kinds.CRON_JOBS, {"spec": {"schedule": "* * * * *", "suspend": False},
                                   "status": {"active": [{}], "lastScheduleTime": BORN}},
                 ["x", "* * * * *", "<none>", "False", 1, "5m", "5m", "", "", "<none>"], id="cronjob"),
    pytest.param(kinds.SERVICES, {"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "selector": {"b": "2", "a": "1"},
                                           "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}},
                 ["x", "LoadBalancer", "10.96.0.7", "<pending>", "80:30080/TCP,53/UDP", "5m", "a=1,b=2"], id="service"),
    pytest.param(kinds.ENDPOINTS, {"subsets": [{"addresses": [{"ip": f"10.0.0.{i}"} for i in range(5)], "ports": [{"port": 80}]}]},
                 ["x", "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more...", "5m"], id="endpoints"),
    pytest.param(kinds.ENDPOINT_SLICES, {"addressType": "IPv4", "ports": [{"port": 80}, {}], "endpoints": []},
                 ["x", "IPv4", "80,*", "<unset>", "5m"], id="endpointslice"),
    pytest.param(kinds.INGRESSES, {"spec": {"ingressClassName": "wherry", "tls": [{}], "rules": [{"host": "a"}, {"host": "b"}]},
                                   "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}},
                 ["x", "wherry", "a,b", "192.0.2.1", "80, 443", "5m"], id="ingress"),
    pytest.param(kinds.NODES, {
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "192.0.2.9"}],
                   "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian", "kernelVersion": "6", "containerRuntimeVersion": "crun"}}},
        ["x", "Ready,SchedulingDisabled", "control-plane,edge", "5m", "v1.37.0", "192.0.2.9", "<none>", "Debian", "6", "crun"],
        id="node"),
    pytest.param(kinds.EVENTS, {"type": "Normal", "reason": "Started", "message": " ok\n", "count": 4, "firstTimestamp": BORN,
                                "lastTimestamp": "2026-11-23T11:59:00Z", "source": {"component": "kubelet", "host": "n1"},
                                "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{a}"}},
                 ["60s", "Normal", "Started", "pod/web", "spec.containers{a}", "kubelet, n1", "ok", "5m", 4, "x"], id="event"),
    pytest.param(kinds.EVENTS_V1, {"type": "Normal", "reason": "Started", "note": "ok", "eventTime": BORN,
                                   "reportingController": "sched", "regarding": {"kind": "Pod", "name": "web"}},
                 ["5m", "Normal", "Started", "pod/web", "", "sched", "ok", "5m", 1, "x"], id="event of the new group"),
    pytest.param(kinds.CONFIG_MAPS, {"data": {"a": ""}, "binaryData": {"b": ""}}, ["x", 2, "5m"], id="configmap"),
    pytest.param(kinds.SECRETS, {"type": "Opaque", "data": {"a": ""}}, ["x", "Opaque", 1, "5m"], id="secret"),
    pytest.param(kinds.PERSISTENT_VOLUMES, {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "storageClassName": "local",
                 "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "d", "name": "c"}, "volumeMode": "Filesystem"},
        "status": {"phase": "Bound"}},
        ["x", "1Gi", "RWO,RWX", "Delete", "Bound", "d/c", "local", "<unset>", "", "5m", "Filesystem"], id="volume"),
    pytest.param(kinds.PERSISTENT_VOLUME_CLAIMS, {"spec": {"storageClassName": "local"}, "status": {"phase": "Pending"}},
                 ["x", "Pending", "", "", "", "local", "<unset>", "5m", "<unset>"], id="claim"),
    pytest.param(kinds.STORAGE_CLASSES, {
        "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"},
        ["x (default)", "p", "Delete", "Immediate", False, "5m"], id="storage class"),
    pytest.param(kinds.ROLE_BINDINGS, {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
        {"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]},
        ["x", "Role/r", "5m", "u", "", "n/s"], id="role binding"),
    pytest.param(kinds.ROLES, {}, ["x", BORN], id="role"),
    pytest.param(kinds.CUSTOM_RESOURCE_DEFINITIONS, {}, ["x", BORN], id="crd"),
    pytest.param(kinds.CERTIFICATE_SIGNING_REQUESTS, {
        "spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600},
        "status": {"conditions": [{"type": "Approved"}], "certificate": "x"}},
        ["x", "5m", "s", "u", "60m", "Approved,Issued"], id="csr"),
    pytest.param(kinds.HORIZONTAL_POD_AUTOSCALERS, {
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
            {"type": "Pods", "pods": {"target": {"averageValue": "10"}}}]},
        "status": {"currentReplicas": 2, "currentMetrics": [{"resource": {"current": {"averageUtilization": 12}}}]}},
        ["x", "Deployment/web", "cpu: 12%/80%, <unknown>/10", "1", 5, 2, "5m"], id="autoscaler"),
    pytest.param(kinds.POD_DISRUPTION_BUDGETS, {"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}},
                 ["x", "50%", "N/A", 1, "5m"], id="disruption budget"),
    pytest.param(kinds.CONTROLLER_REVISIONS, {"revision": 3, "metadata": {"ownerReferences": [
        {"controller": True, "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}]}},
        ["x", "statefulset.apps/db", 3, "5m"], id="controller revision"),
    pytest.param(kinds.RESOURCE_QUOTAS, {"status": {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "1"}}},
                 ["x", "pods: 1/4", "limits.cpu: 0/2", "5m"], id="quota"),
    pytest.param(kinds.LEASES, {"spec": {"holderIdentity": "n1"}}, ["x", "n1", "5m"], id="lease"),
    pytest.param(kinds.PRIORITY_CLASSES, {"value": 100}, ["x", 100, False, "5m", "PreemptLowerPriority"], id="priority class"),
    pytest.param(kinds.API_SERVICES, {"spec": {"service": {"namespace": "a", "name": "b"}}, "status": {
        "conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}},
        ["x", "a/b", "False (MissingEndpoints)", "5m"], id="api service"),
    pytest.param(kinds.CSI_DRIVERS, {"spec": {}}, ["x", True, False, False, "<unset>", False, "Persistent", "5m"], id="csi driver"),
])
def test_row(resource: Resource, obj: Object, expected: list[Any]) -> None:
    assert row(resource, obj) == expected


@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=lambda resource: resource.qualified_name)
def test_every_kind_has_a_row_for_an_object_with_nothing_in_it(resource: Resource) -> None:
    cells = row(resource, {})
    assert "x" in cells


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                               ["replicas", "containers", "conditions", "ports", "name", "type"]), inner, max_size=3), max_leaves=8)


@given(st.sampled_from(kinds.BUILTIN), json_values, json_values)
def test_object_that_breaks_its_schema_still_has_a_row(resource: Resource, spec: Any, status: Any) -> None:
    row(resource, {"spec": spec, "status": status})


def test_table_shape_and_what_of_the_object_it_holds() -> None:
    obj = {"kind": "ConfigMap", "metadata": {"name": "x"}}
    by_choice = {
        choice: tables.render(sheet_of(kinds.CONFIG_MAPS).columns, [obj], now=NOW, include_object=choice, list_meta={"resourceVersion": "5"})
        for choice in ("None", "Metadata", "Object")}
    assert by_choice["None"]["rows"][0] == {"cells": ["x", 0, "<unknown>"]}
    assert by_choice["Metadata"]["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}
    assert by_choice["Object"]["rows"][0]["object"] is obj
    assert by_choice["None"]["metadata"] == {"resourceVersion": "5"} and by_choice["None"]["kind"] == "Table"
    name = sheet_of(kinds.CONFIG_MAPS).columns.columns[0]
    assert (name["name"], name["type"], name["format"], name["priority"]) == ("Name", "string", "name", 0)


WIDGETS = Resource("example.com", "v1", "Widget", "widgets", "widget", True)


@pytest.mark.parametrize(("kind", "path", "expected"), [
    ("string", ".spec.size", "L"), ("string", ".spec.list", '["a","b"]'), ("string", ".spec.count", "3"),
    ("string", ".spec.none", None), ("integer", ".spec.count", 3), ("integer", ".spec.size", None),
    ("number", ".spec.ratio", 0.5), ("boolean", ".spec.on", True), ("date", ".spec.when", "5m"), ("date", ".spec.size", "<invalid>"),
    ("string", '.status.conditions[?(@.type=="Ready")].status', "True"), ("string", ".spec.annotations.a\\.b/c", "d"),
    ("string", "][", None),
])
def test_custom_column(kind: str, path: str, expected: Any) -> None:
    obj = {"spec": {"size": "L", "count": 3, "ratio": 0.5, "on": True, "when": BORN, "list": ["a", "b"], "annotations": {"a.b/c": "d"}},
           "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}}
    assert row(WIDGETS, obj, columns=[{"name": "C", "type": kind, "jsonPath": path, "priority": 1}]) == ["x", expected]


def test_custom_resource_without_columns_has_its_age() -> None:
    assert row(WIDGETS, {}, columns=[]) == ["x", "5m"]


DOC = {"a": [{"b": 1, "c": "x"}, {"b": 2, "c": "y"}], "m": {"k.1": {"b": 3}}, "t": True}


@pytest.mark.parametrize(("expression", "expected"), [
    (".a[0].b", [1]), ("{.a[1].c}", ["y"]), ("$.a[-1].b", [2]), (".a[*].b", [1, 2]), (".a[0:1].c", ["x"]), (".a[0,1].b", [1, 2]),
    (".m['k.1'].b", [3]), (".m.k\\.1.b", [3]), ("..b", [1, 2, 3]), (".a[?(@.b>1)].c", ["y"]), (".a[?(@.c!='x')].b", [2]),
    (".a[?(@.z)].b", []), (".a[?(@.b)].b", [1, 2]), (".none.b", []), (".a.b", []), (".m.*.b", [3]), ("a[0].b", [1]), ("", [DOC]),
])
def test_jsonpath(expression: str, expected: list[Any]) -> None:
    assert JsonPath(expression).find(DOC) == expected


@pytest.mark.parametrize("expression", [".a[", ".a[x]", ".a[?(b)]", ".a b", ".a[?(@.b==x)]", "." + "a" * 5000])
def test_bad_jsonpath_is_refused(expression: str) -> None:
    with pytest.raises(Invalid, match="JSONPath"):
        JsonPath(expression)


@given(st.text(alphabet=".[]'\"?@()*:,01ab$ \\=<", max_size=30))
def test_no_jsonpath_breaks_the_reader(expression: str) -> None:
    try:
        JsonPath(expression).find(DOC)
    except Invalid:
        pass


def test_a_kept_row_grows_older() -> None:
    obj = {"metadata": {"name": "x", "creationTimestamp": BORN}, "data": {"a": "b"}}
    kept = tables.row_of(sheet_of(kinds.CONFIG_MAPS).columns, obj, orjson.dumps(obj))
    assert kept is not None
    assert [orjson.loads(kept.at(NOW.timestamp() + later)) for later in (0, 3600)] == [["x", 1, "5m"], ["x", 1, "65m"]]


@pytest.mark.parametrize(("status", "is_kept"), [
    pytest.param({"containerStatuses": [RUNNING]}, True, id="never restarted"),
    pytest.param({"containerStatuses": [RUNNING | {"restartCount": 2, "lastState": {"terminated": {"finishedAt": BORN}}}]}, False,
                 id="'2 (5m ago)' depends on the moment"),
])
def test_a_row_is_kept_only_when_nothing_but_ages_depends_on_the_moment(status: Object, is_kept: bool) -> None:
    obj = {"metadata": {"name": "x", "creationTimestamp": BORN}, "spec": {"containers": [{"name": "a"}]}, "status": status}
    assert (tables.row_of(sheet_of(kinds.PODS).columns, obj, orjson.dumps(obj)) is not None) is is_kept
