"""EndpointSlices and Endpoints follow Services and pods; against the real API server."""

import asyncio

import pytest

from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.endpoint_slice.loop import Controller as EndpointSlices
from wherry.orchestration.controllers.endpoint_slice_mirroring.loop import Controller as Mirroring
from wherry.orchestration.controllers.endpoints.loop import Controller as Endpoints
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from wherry.orchestration.objects.meta import Object, labels_of
from wherry.testing.control_plane import ControlPlane, control_plane


async def slices(on: ControlPlane, service: str = "web") -> list[Object]:
    return await on.all(ENDPOINT_SLICES, "default", f"kubernetes.io/service-name={service}")


async def endpoints(on: ControlPlane, service: str = "web") -> dict[str, bool]:
    return {e["addresses"][0]: e["conditions"]["ready"] for s in await slices(on, service) for e in s.get("endpoints") or ()}


async def test_slice_of_a_service_names_its_pods():
    async with control_plane(EndpointSlices) as on:
        await on.node("node-1", **{"topology.kubernetes.io/zone": "a"})
        service = await on.service()
        pod = await on.pod("web-1", "10.244.0.5", node="node-1")
        await on.until(lambda: endpoints(on))
        (slice_,) = await slices(on)
        assert slice_["endpoints"] == [{
            "addresses": ["10.244.0.5"], "nodeName": "node-1", "zone": "a",
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "default", "uid": pod["metadata"]["uid"]},
        }]
        assert slice_["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        assert slice_["addressType"] == "IPv4"
        assert slice_["metadata"]["generateName"] == "web-"
        assert slice_["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]
        assert labels_of(slice_)["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        assert "endpoints.kubernetes.io/last-change-trigger-time" in slice_["metadata"]["annotations"]


async def test_service_without_pods_has_one_empty_slice_and_empty_endpoints():
    async with control_plane(EndpointSlices, Endpoints) as on:
        await on.service()
        (slice_,) = await on.until(lambda: slices(on))
        assert not slice_.get("endpoints") and not slice_.get("ports")
        found = await on.until(lambda: on.find(ENDPOINTS, "web"))
        assert not found.get("subsets")


async def test_placeholder_gives_way_to_real_slices_and_comes_back():
    async with control_plane(EndpointSlices) as on:
        await on.service()
        await on.until(lambda: slices(on))
        await on.pod("web-1", "10.244.0.5")
        await on.until(lambda: endpoints(on))

        async def one() -> bool:
            return len(await slices(on)) == 1

        await on.until(one)
        await on.client.delete(PODS, "web-1", "default", grace_s=0)

        async def empty() -> bool:
            found = await slices(on)
            return len(found) == 1 and not found[0].get("endpoints")

        await on.until(empty)


@pytest.mark.parametrize(("ready", "spec", "expected"), [
    pytest.param(True, {}, True, id="ready pod is ready"),
    pytest.param(False, {}, False, id="unready pod is there and not ready"),
    pytest.param(False, {"publishNotReadyAddresses": True}, True, id="published when the Service says so"),
    pytest.param(True, {"clusterIP": "None"}, True, id="headless"),
])  # fmt: skip
async def test_readiness_in_both_kinds(ready: bool, spec: Object, expected: bool):
    async with control_plane(EndpointSlices, Endpoints) as on:
        await on.service(**spec)
        await on.pod("web-1", "10.244.0.5", ready=ready)

        async def right() -> bool:
            found = await on.find(ENDPOINTS, "web")
            field = "addresses" if expected else "notReadyAddresses"
            subsets = (found or {}).get("subsets") or [{}]
            return await endpoints(on) == {"10.244.0.5": expected} and field in subsets[0]

        await on.until(right)


async def test_named_target_port_makes_a_slice_for_each_number():
    async with control_plane(EndpointSlices) as on:
        await on.service(ports=[{"name": "www", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"}])
        await on.pod("web-1", "10.244.0.5")
        await on.pod("web-2", "10.244.0.6", containers=[
            {"name": "main", "image": "app:2", "ports": [{"name": "http", "containerPort": 9090}]}])

        async def both() -> list[int]:
            return sorted(s["ports"][0]["port"] for s in await slices(on) if s.get("ports"))

        async def settled() -> bool:
            return await both() == [8080, 9090]

        await on.until(settled)
        assert {s["ports"][0]["appProtocol"] for s in await slices(on)} == {"kubernetes.io/h2c"}


async def test_hostname_and_subdomain_reach_the_slice():
    async with control_plane(EndpointSlices) as on:
        await on.service(clusterIP="None")
        await on.pod("web-0", "10.244.0.5", hostname="web-0", subdomain="web")
        await on.until(lambda: endpoints(on))
        (slice_,) = await slices(on)
        assert slice_["endpoints"][0]["hostname"] == "web-0"
        assert labels_of(slice_)["service.kubernetes.io/headless"] == ""


async def test_terminating_pod_stays_in_slices_and_leaves_endpoints():
    async with control_plane(EndpointSlices, Endpoints) as on:
        await on.node()
        await on.service()
        await on.pod("web-1", "10.244.0.5", node="node-1")
        await on.until(lambda: endpoints(on))
        await on.client.delete(PODS, "web-1", "default", grace_s=30)

        async def terminating() -> bool:
            rows = [e["conditions"] for s in await slices(on) for e in s.get("endpoints") or ()]
            legacy = await on.find(ENDPOINTS, "web")
            return rows == [{"ready": False, "serving": True, "terminating": True}] and not (legacy or {}).get("subsets")

        await on.until(terminating)


async def test_finished_pod_has_no_endpoint():
    async with control_plane(EndpointSlices) as on:
        await on.service()
        await on.pod("web-1", "10.244.0.5")
        await on.until(lambda: endpoints(on))
        await on.report("web-1", phase="Failed", ready=False)

        async def none() -> bool:
            return not await endpoints(on)

        await on.until(none)


async def test_a_hand_on_a_slice_is_put_right():
    async with control_plane(EndpointSlices) as on:
        await on.service()
        await on.pod("web-1", "10.244.0.5")
        await on.until(lambda: endpoints(on))
        (slice_,) = await slices(on)
        await on.client.update(ENDPOINT_SLICES, {**slice_, "endpoints": []})
        await on.until(lambda: endpoints(on))


async def test_changed_selector_moves_the_endpoints():
    async with control_plane(EndpointSlices, Endpoints) as on:
        await on.service()
        await on.pod("web-1", "10.244.0.5")
        await on.pod("other-1", "10.244.0.9", app="other")
        await on.until(lambda: endpoints(on))
        await on.client.patch(SERVICES, "web", "default", {"spec": {"selector": {"app": "other"}}})

        async def moved() -> bool:
            return await endpoints(on) == {"10.244.0.9": True}

        await on.until(moved)


async def test_endpoints_go_with_their_service_and_lone_ones_stay():
    async with control_plane(Endpoints) as on:
        await on.service()
        await on.until(lambda: on.find(ENDPOINTS, "web"))
        lone = {"metadata": {"name": "lone", "namespace": "default"}, "subsets": []}
        await on.client.create(ENDPOINTS, lone)
        await on.client.delete(SERVICES, "web", "default")

        async def gone() -> bool:
            return await on.find(ENDPOINTS, "web") is None

        await on.until(gone)
        assert await on.find(ENDPOINTS, "lone")


async def test_endpoints_whose_service_went_while_nobody_looked_go_at_the_start():
    async with control_plane() as on, asyncio.TaskGroup() as tasks:
        await on.client.create(ENDPOINTS, {"metadata": {"name": "left", "namespace": "default"}, "subsets": []})
        informers = Informers(on.client)
        tools = Tools(on.client, informers, Recorder(on.client, "test", clock=on.clock), on.clock)
        running = [tasks.create_task(part(), name="part") for part in (informers.run, Endpoints(tools).run)]

        async def gone() -> bool:
            return await on.find(ENDPOINTS, "left") is None

        await on.until(gone)
        for task in running:
            task.cancel()


async def test_hand_made_endpoints_are_mirrored_and_the_mirror_goes_with_them():
    async with control_plane(Mirroring) as on:
        await on.service("ext", selector=None)
        await on.client.create(ENDPOINTS, {
            "metadata": {"name": "ext", "namespace": "default"},
            "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "notReadyAddresses": [{"ip": "192.0.2.8"}],
                         "ports": [{"name": "http", "port": 80}]}],
        })

        async def mirrored() -> bool:
            return await endpoints(on, "ext") == {"192.0.2.7": True, "192.0.2.8": False}

        await on.until(mirrored)
        (slice_,) = await slices(on, "ext")
        assert labels_of(slice_)["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
        await on.client.delete(ENDPOINTS, "ext", "default")

        async def gone() -> bool:
            return not await slices(on, "ext")

        await on.until(gone)


async def test_nothing_is_written_when_a_pod_changes_in_ways_no_endpoint_shows():
    async with control_plane(EndpointSlices, Endpoints) as on:
        await on.service()
        await on.pod("web-1", "10.244.0.5")
        await on.until(lambda: endpoints(on))
        await on.until(lambda: on.find(ENDPOINTS, "web"))
        before = [s["metadata"]["resourceVersion"] for s in await slices(on)]
        await on.client.patch(PODS, "web-1", "default", {"metadata": {"annotations": {"note": "x"}}})
        await on.report("web-1", "10.244.0.5")
        await on.pod("web-2", "10.244.0.6")

        async def both() -> bool:
            return len(await endpoints(on)) == 2

        await on.until(both)
        assert len(await slices(on)) == len(before) == 1
