"""What the server adds to new Jobs, DaemonSets, StatefulSets and claims: each row as kube-apiserver 1.37.2 answered it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from wherry.kit.clock import parse_rfc3339, rfc3339
from wherry.testing.api import api_server
from wherry.testing.virtual_time import VirtualClock

CORE, APPS, BATCH = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default", "/apis/batch/v1/namespaces/default"
POD = {"containers": [{"name": "main", "image": "x:1"}]}
SELECTOR = {"matchLabels": {"a": "b"}}
COUNT = "deprecated.daemonset.template.generation"
OF_PODS = {"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}


@pytest.mark.parametrize(("own", "of_template", "expected"), [
    ({}, {}, OF_PODS), ({}, {"a": "b"}, {"a", *OF_PODS}), ({"x": "y"}, {"a": "b"}, {"x"})])
async def test_a_job_without_labels_has_those_of_its_pods(own: Any, of_template: Any, expected: set[str]) -> None:
    template = {"metadata": {"labels": of_template}, "spec": {**POD, "restartPolicy": "Never"}}
    async with api_server() as api:
        _, made = await api.call("POST", f"{BATCH}/jobs", {"metadata": {"name": "j", "labels": own}, "spec": {"template": template}})
    assert set(made["metadata"]["labels"]) == expected
    assert set(made["spec"]["template"]["metadata"]["labels"]) == {*of_template, *OF_PODS}
    assert made["spec"]["manualSelector"] is False


async def test_the_server_counts_the_templates_of_a_daemon_set() -> None:
    spec = {"selector": SELECTOR, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}
    seen = []
    async with api_server() as api:
        _, made = await api.call("POST", f"{APPS}/daemonsets", {"metadata": {"name": "d"}, "spec": spec})
        seen.append(made["metadata"]["annotations"])
        for patch in (
            {"metadata": {"annotations": {"k": "v"}}}, {"spec": {"template": {"metadata": {"annotations": {"q": "1"}}}}},
            {"spec": {"minReadySeconds": 5}}, {"metadata": {"annotations": None}}, {"metadata": {"annotations": {COUNT: "77"}}},
        ):
            _, made = await api.call("PATCH", f"{APPS}/daemonsets/d", patch, content_type="application/merge-patch+json")
            seen.append(made["metadata"]["annotations"])
        asked = {"metadata": {"name": "e", "annotations": {COUNT: "5"}}, "spec": spec}
        _, made = await api.call("POST", f"{APPS}/daemonsets", asked)
        seen.append(made["metadata"]["annotations"])
    assert seen == [{COUNT: "1"}, {COUNT: "1", "k": "v"}, {COUNT: "2", "k": "v"}, {COUNT: "2", "k": "v"}, {COUNT: "2"}, {COUNT: "2"},
                    {COUNT: "5"}]


@pytest.mark.parametrize(("said", "why"), [
    ("x", "invalid syntax"), ("", None), ("-3", None), ("0" * 5000 + "7", None), ("9" * 5000, "value out of range"),
    (str(2**63), "value out of range"), ("\u0663", "value out of range"), ("1.0", "invalid syntax")])
async def test_a_count_that_is_no_int64_is_refused_when_it_is_new(said: str, why: str | None) -> None:
    spec = {"selector": SELECTOR, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}
    async with api_server() as api:
        asked = {"metadata": {"name": "d", "annotations": {COUNT: said}}, "spec": spec}
        status, made = await api.call("POST", f"{APPS}/daemonsets", asked)
        assert (status == 201) == (why is None) and (why or "") in made.get("message", ""), made
        if why is None:
            assert made["metadata"]["annotations"][COUNT] == ("7" if said.endswith("7") else "1")
            patch = {"metadata": {"annotations": {COUNT: "9" * 5000}}}
            status, made = await api.call("PATCH", f"{APPS}/daemonsets/d", patch, content_type="application/merge-patch+json")
            assert status == 400 and "value out of range" in made["message"]


async def test_a_stateful_set_has_one_pod_away_at_a_time() -> None:
    spec = {"serviceName": "s", "selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"partition": 2}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}
    async with api_server() as api:
        _, made = await api.call("POST", f"{APPS}/statefulsets", {"metadata": {"name": "s"}, "spec": spec})
    assert made["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": 1}}


CLAIM, OTHER = ({"apiGroup": None, "kind": "PersistentVolumeClaim", "name": name} for name in "cd")
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "c"}
POPULATOR = {"apiGroup": "a.b", "kind": "X", "name": "c"}


@pytest.mark.parametrize(("asked", "expected"), [
    ({"dataSource": CLAIM}, CLAIM), ({"dataSourceRef": CLAIM}, CLAIM), ({"dataSourceRef": SNAPSHOT}, SNAPSHOT),
    ({"dataSource": POPULATOR}, None), ({"dataSourceRef": POPULATOR}, POPULATOR), ({"dataSourceRef": {**CLAIM, "namespace": "n"}}, None)])
async def test_both_fields_say_where_the_data_of_a_claim_comes_from(asked: Any, expected: Any) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    async with api_server() as api:
        _, made = await api.call("POST", f"{CORE}/persistentvolumeclaims", {"metadata": {"name": "p"}, "spec": {**spec, **asked}})
        assert [made["spec"].get(field) for field in ("dataSource", "dataSourceRef")] == [expected, expected]
        status, again = await api.call("PUT", f"{CORE}/persistentvolumeclaims/p", {**made, "spec": {**made["spec"], **asked}})
    assert status == 200, again


@pytest.mark.parametrize(("asked", "message"), [
    ({"dataSource": CLAIM, "dataSourceRef": OTHER}, "spec: Invalid value: {}: must match dataSourceRef"),
    ({"dataSource": {"kind": "PersistentVolumeClaim"}}, "[spec.dataSource.name: Required value, spec.dataSourceRef.name: Required value]")])
async def test_sources_that_disagree_or_name_nothing_are_refused(asked: Any, message: str) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **asked}
    async with api_server() as api:
        status, said = await api.call("POST", f"{CORE}/persistentvolumeclaims", {"metadata": {"name": "p"}, "spec": spec})
    assert status == 422 and said["message"].endswith(message), said["message"]


@pytest.mark.virtual_time
async def test_a_volume_says_since_when_it_has_its_phase() -> None:
    clock = VirtualClock()
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
    said, times = "2020-01-01T00:00:00Z", []
    async with api_server(clock=clock) as api:
        _, made = await api.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "v"}, "spec": spec})
        first = made["status"]["lastPhaseTransitionTime"]
        for status in ({"message": "m"}, {"phase": "Available"}, {"lastPhaseTransitionTime": None},
                       {"phase": "Released", "lastPhaseTransitionTime": said}):
            await asyncio.sleep(60)
            _, made = await api.call("PATCH", "/api/v1/persistentvolumes/v/status", {"status": status},
                                     content_type="application/merge-patch+json")
            times.append(made["status"]["lastPhaseTransitionTime"])
    second = rfc3339(parse_rfc3339(first) + timedelta(minutes=2))
    assert times == [first, second, second, said]
