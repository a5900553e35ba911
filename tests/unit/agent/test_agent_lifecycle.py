"""The life of pods on a node: what the API shows and what the engine is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_rig import Rig, container, pod, rig_in

from wherry.orchestration.client.client import STRATEGIC_PATCH
from wherry.orchestration.client.transport import Call
from wherry.orchestration.objects.kinds import LEASES, NODES, PODS, RUNTIME_CLASSES
from wherry.orchestration.objects.meta import Object, condition_of
from wherry.testing.fake_engine import FakeEngine
from wherry.testing.faults import UNAVAILABLE, Fault, Refused, SlowAnswer, SlowCall, always, is_watch, nothing

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_in(tmp_path) as rig:
        yield rig


async def test_pod_that_ends_well_goes_pending_running_succeeded(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container("app", "sh", "-c", "echo hi; sleep 0.2; exit 0"), restartPolicy="Never"))
        running = await rig.phase("Running")
        assert running["podIP"].startswith("10.244.0.")
        assert condition_of(running["conditions"], "Ready")["status"] == "True"
        assert running["containerStatuses"][0]["containerID"].startswith("wherry://")
        done = await rig.phase("Succeeded")
        state = done["containerStatuses"][0]["state"]["terminated"]
        assert (state["exitCode"], state["reason"]) == (0, "Completed")
        assert condition_of(done["conditions"], "Ready")["reason"] == "PodCompleted"


async def test_node_is_registered_ready(rig: Rig) -> None:
    async with rig.running():
        await rig.until(lambda: rig.node().get("status"))
        node = rig.node()
        assert condition_of(node["status"]["conditions"], "Ready")["message"] == "kubelet is posting ready status"


async def test_failed_container_makes_never_pod_failed(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container("app", "sh", "-c", "exit 3"), restartPolicy="Never"))
        done = await rig.phase("Failed")
        assert done["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_first_crash_restarts_at_once_and_the_second_backs_off(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container("app", "sh", "-c", "exit 1")))
        await rig.until(
            lambda: rig.status().get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("reason")
            == "CrashLoopBackOff"
        )
        shown = rig.status()["containerStatuses"][0]
        assert shown["restartCount"] == 1
        assert shown["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=app pod=web_default(")
        assert shown["lastState"]["terminated"]["exitCode"] == 1
        assert rig.status()["phase"] == "Running"


async def test_deleted_pod_is_stopped_reported_and_removed(rig: Rig) -> None:
    async with rig.running() as agent:
        await rig.create(pod())
        await rig.phase("Running")
        await rig.client().delete(PODS, "web", "default")
        await rig.until(lambda: rig.pod() is None)
        await rig.until(lambda: not agent.pods())
        assert await rig.engine.sandboxes() == []
        assert await rig.engine.containers() == []
        assert not any((rig.folder / "data" / "pods").iterdir())


async def test_init_containers_run_one_by_one_before_the_app(rig: Rig) -> None:
    first, second = (dict(container(n, "sh", "-c", "sleep 0.02; exit 0"), image="init:1") for n in ("one", "two"))
    async with rig.running():
        await rig.create(pod("web", container(), initContainers=[first, second]))
        await rig.phase("Running")
        started = [name for call, name in rig.engine.calls if call == "start_container"]
        assert started == ["one", "two", "app"]


async def test_sidecar_starts_before_the_app_and_stops_after_it(rig: Rig) -> None:
    side = dict(container("side"), image="side:1", restartPolicy="Always")
    async with rig.running():
        await rig.create(pod("web", container(), initContainers=[side]))
        await rig.phase("Running")
        assert [n for c, n in rig.engine.calls if c == "start_container"] == ["side", "app"]
        await rig.client().delete(PODS, "web", "default")
        await rig.until(lambda: rig.pod() is None)
        assert [n for c, n in rig.engine.calls if c == "stop_container"] == ["app", "side"]


async def test_failing_init_container_fails_a_never_pod_without_starting_the_app(rig: Rig) -> None:
    bad = dict(container("one", "false"), image="init:1")
    async with rig.running():
        await rig.create(pod("web", container(), initContainers=[bad], restartPolicy="Never"))
        status = await rig.phase("Failed")
        assert ("start_container", "app") not in rig.engine.calls
        assert condition_of(status["conditions"], "Initialized")["reason"] == "ContainersNotInitialized"


async def test_missing_image_backs_off(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", dict(container(), image="none:1")))
        await rig.until(lambda: "ImagePullBackOff" in str(rig.status()))
        assert rig.status()["phase"] == "Pending"
        assert ("Failed", "Error: ErrImagePull") in rig.events()


async def test_missing_config_map_is_named_and_start_follows_its_creation(rig: Rig) -> None:
    from wherry.orchestration.objects.kinds import CONFIG_MAPS

    source = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "a"}}}
    async with rig.running():
        await rig.create(pod("web", container(env=[source])))
        await rig.until(lambda: "CreateContainerConfigError" in str(rig.status()))
        waiting = rig.status()["containerStatuses"][0]["state"]["waiting"]
        assert waiting["message"] == 'configmap "cfg" not found'
        await rig.client().create(CONFIG_MAPS, {"metadata": {"name": "cfg", "namespace": "default"}, "data": {"a": "1"}})
        await rig.phase("Running")
        assert ("A", "1") in next(iter(rig.engine.configs.values())).env


async def test_restarted_agent_adopts_running_containers(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
    before = [c.id for c in await rig.engine.containers()]
    async with rig.running() as agent:
        await rig.until(lambda: agent.pods())
        await asyncio.sleep(0.05)
        assert [c.id for c in await rig.engine.containers()] == before
        assert ("stop_container", "app") not in rig.engine.calls
        assert condition_of(rig.status()["conditions"], "Ready")["status"] == "True"


async def test_the_lease_of_a_new_life_comes_after_what_pods_say_of_it(rig: Rig) -> None:
    """`wherry up` waits for that lease: a status of the life before said Ready of a container that was gone."""
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
    before = rig.status()["containerStatuses"][0]["containerID"]
    rig.engine = FakeEngine(rig.api.server.clock)  # as after `down`: nothing runs
    seen: list[Object] = []

    def slow_for_pods(call: Call) -> Fault | None:
        if "/leases" in call.path:
            seen.append(rig.status()["containerStatuses"][0])
        return SlowCall(0.1) if call.method == "PATCH" and "/pods/" in call.path else None

    rig.faults.script = slow_for_pods
    async with rig.running():
        await rig.until(lambda: seen)
    assert not seen[0]["ready"] or seen[0]["containerID"] != before


async def test_a_pod_whose_status_the_api_does_not_take_does_not_hold_the_lease_up(rig: Rig) -> None:
    await rig.create(pod())
    rig.faults.script = always(UNAVAILABLE, lambda call: call.method == "PATCH" and "/pods/" in call.path)
    async with rig.running():
        await rig.until(lambda: rig.api.all(LEASES))
        assert "containerStatuses" not in rig.status()


async def test_pod_deleted_while_the_agent_was_down_is_removed_at_start(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
    await rig.client().delete(PODS, "web", "default", grace_s=0)
    async with rig.running():
        await rig.until(lambda: ("remove_container", "app") in rig.engine.calls)
        assert await rig.engine.sandboxes() == []


async def test_deadline_ends_the_pod(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container(), activeDeadlineSeconds=1))
        status = await rig.phase("Failed")
        assert status["reason"] == "DeadlineExceeded"
        assert status["message"] == "Pod was active on the node longer than the specified deadline"


async def test_pod_larger_than_the_node_is_rejected(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container(resources={"requests": {"cpu": "5"}})))
        status = await rig.phase("Failed")
        assert status["reason"] == "OutOfcpu"
        assert status["message"] == "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000"
        assert rig.engine.calls == [("restore", "")]


async def test_stubborn_container_is_killed_after_its_grace(rig: Rig) -> None:
    from wherry.testing.fake_engine import Program

    rig.engine.programs["app"] = Program(ignores_stop=True)
    async with rig.running():
        await rig.create(pod("web", container(), terminationGracePeriodSeconds=7))
        await rig.phase("Running")
        await rig.client().delete(PODS, "web", "default")
        await asyncio.sleep(6)
        assert rig.pod() is not None, "its grace is not over"
        await rig.until(lambda: rig.pod() is None)
        assert await rig.engine.containers() == []


async def resized(rig: Rig, cpu: str) -> None:
    """What a user does with `kubectl patch --subresource resize`."""
    containers = [{"name": "app", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}}]
    await rig.client().patch(
        PODS, "web", "default", {"spec": {"containers": containers}}, content_type=STRATEGIC_PATCH, subresource="resize"
    )  # fmt: skip


SIZED = container(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})


async def test_resize_changes_the_limits_of_the_running_container(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", SIZED))
        await rig.phase("Running")
        await resized(rig, "2")
        await rig.until(lambda: next(iter(rig.engine.configs.values())).resources.cpu_quota_us == 200_000)
        await rig.until(lambda: rig.status()["containerStatuses"][0]["resources"]["limits"]["cpu"] == "2")
        assert rig.status()["containerStatuses"][0]["restartCount"] == 0


async def test_resize_restarts_when_its_policy_says_so(rig: Rig) -> None:
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    async with rig.running():
        await rig.create(pod("web", {**SIZED, "resizePolicy": policy}))
        await rig.phase("Running")
        await resized(rig, "2")
        await rig.until(lambda: rig.status()["containerStatuses"][0]["restartCount"] == 1)
        assert ("Killing", "Container app resize requires restart") in rig.events()


async def test_resize_beyond_the_node_is_infeasible(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", SIZED))
        await rig.phase("Running")
        await resized(rig, "50")
        await rig.until(lambda: condition_of(rig.status()["conditions"], "PodResizePending") is not None)
        pending = condition_of(rig.status()["conditions"], "PodResizePending")
        assert pending["reason"] == "Infeasible"
        assert rig.status()["containerStatuses"][0]["resources"]["limits"]["cpu"] == "1"


async def test_ephemeral_container_joins_a_running_pod(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
        found = await rig.client().get(PODS, "web", "default")
        found["spec"]["ephemeralContainers"] = [container("debug", "sh", "-c", "exit 1")]
        await rig.client().update(PODS, found, subresource="ephemeralcontainers")
        await rig.until(lambda: "terminated" in str(rig.status().get("ephemeralContainerStatuses")))
        assert rig.status()["ephemeralContainerStatuses"][0]["restartCount"] == 0
        assert rig.status()["phase"] == "Running"


async def test_unknown_runtime_class_keeps_the_sandbox_from_being_made(rig: Rig) -> None:
    await rig.client().create(RUNTIME_CLASSES, {"metadata": {"name": "gone"}, "handler": "none"})
    await rig.create(pod("web", container(), runtimeClassName="gone"))
    await rig.client().delete(RUNTIME_CLASSES, "gone")
    async with rig.running():
        await rig.until(lambda: any(reason == "FailedCreatePodSandBox" for reason, _ in rig.events()))
        assert rig.status()["phase"] == "Pending"


async def test_labels_reach_a_downward_volume(rig: Rig) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    async with rig.running():
        await rig.create(pod("web", container(), volumes=[{"name": "d", "downwardAPI": {"items": items}}]))
        await rig.phase("Running")
        found = await rig.client().get(PODS, "web", "default")
        found["metadata"]["labels"] = {"new": "1"}
        await rig.client().update(PODS, found)
        path = next((rig.folder / "data" / "pods").glob("*/volumes/kubernetes.io~downward-api/d"))
        await rig.until(lambda: (path / "labels").read_text() == 'new="1"')


async def test_unsupported_volume_is_named_in_an_event(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod("web", container(), volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]))
        text = 'MountVolume.SetUp failed for volume "v" : volume kind nfs is not offered on this node'
        await rig.until(lambda: ("FailedMount", text) in rig.events())


async def test_same_name_again_is_another_pod(rig: Rig) -> None:
    async with rig.running() as agent:
        await rig.create(pod())
        await rig.phase("Running")
        await rig.client().delete(PODS, "web", "default", grace_s=0)
        await rig.create(pod())
        await rig.phase("Running")
        await rig.until(lambda: len(agent.pods()) == 1)
        assert len(await rig.engine.sandboxes()) == 1


async def test_unreachable_api_costs_no_container(rig: Rig) -> None:
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
        rig.faults.script = always(UNAVAILABLE)
        rig.api.hang_up()
        rig.engine.end("app", 1)
        await rig.until(lambda: [c for c in rig.engine.calls if c[0] == "start_container"] == [("start_container", "app")] * 2)
        rig.faults.script = nothing
        await rig.until(lambda: rig.status()["containerStatuses"][0]["restartCount"] == 1)


async def test_memory_pressure_evicts_the_pod_that_uses_more_than_it_asked_for(rig: Rig) -> None:
    async with rig.running() as agent:
        await rig.create(pod("modest", container(resources={"requests": {"memory": "1Gi"}})))
        await rig.create(pod("greedy", container()))
        await rig.phase("Running", "modest")
        await rig.phase("Running", "greedy")
        await agent._eviction.relieve(50 << 20)
        status = await rig.phase("Failed", "greedy")
        assert status["reason"] == "Evicted"
        assert status["message"].startswith("The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki")
        assert condition_of(status["conditions"], "DisruptionTarget")["reason"] == "TerminationByKubelet"
        assert rig.status("modest")["phase"] == "Running"


async def test_finalizer_holds_the_object_and_the_agent_asks_only_once(rig: Rig) -> None:
    async with rig.running():
        subject = pod()
        subject["metadata"]["finalizers"] = ["example.com/hold"]
        await rig.create(subject)
        await rig.phase("Running")
        await rig.client().delete(PODS, "web", "default")
        await rig.phase("Failed")
        await asyncio.sleep(600)
        deletes = [call for call in rig.faults.calls if call.method == "DELETE" and call.path.endswith("/pods/web")]
        assert len(deletes) == 1
        found = await rig.client().get(PODS, "web", "default")
        found["metadata"]["finalizers"] = []
        await rig.client().update(PODS, found)
        await rig.until(lambda: ("remove_sandbox", f"{found['metadata']['uid']}-0") in rig.engine.calls)


async def test_new_image_restarts_the_container_with_it(rig: Rig) -> None:
    from wherry.testing.fake_engine import image_named

    rig.images.known["app:2"] = image_named("app:2")
    async with rig.running():
        await rig.create(pod())
        await rig.phase("Running")
        found = await rig.client().get(PODS, "web", "default")
        found["spec"]["containers"][0]["image"] = "app:2"
        await rig.client().update(PODS, found)
        await rig.until(lambda: rig.status()["containerStatuses"][0]["restartCount"] == 1)
        assert list(rig.engine.configs.values())[-1].image == image_named("app:2").id
        assert ("Killing", "Container app definition changed, will be restarted") in rig.events()


async def test_empty_dir_over_its_limit_is_evicted(rig: Rig) -> None:
    async with rig.running() as agent:
        await rig.create(pod("web", container(), volumes=[{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}]))
        await rig.phase("Running")
        await agent._storage.check_all()
        assert rig.status()["phase"] == "Running"
        folder = next((rig.folder / "data" / "pods").glob("*/volumes/kubernetes.io~empty-dir/e"))
        (folder / "big").write_bytes(b"x" * (2 << 20))
        await agent._storage.check_all()
        status = await rig.phase("Failed")
        assert status["message"] == 'Usage of EmptyDir volume "e" exceeds the limit "1Mi". '


async def test_forbidden_secret_is_shown_and_tried_again(rig: Rig) -> None:
    refused = Refused(403, "Forbidden", "secrets is forbidden: no relationship found")
    sources = [{"secretRef": {"name": "one"}}, {"secretRef": {"name": "two"}}]
    rig.faults.script = always(refused, lambda call: call.path.endswith(("/secrets/one", "/secrets/two")))
    async with rig.running():
        await rig.create(pod("web", container(envFrom=sources), volumes=[{"name": "e", "emptyDir": {}}]))
        await rig.until(lambda: any("no relationship found" in message for _, message in rig.events()))
        rig.faults.script = nothing
        await rig.until(lambda: "CreateContainerConfigError" in str(rig.status()))
        assert rig.status()["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "one" not found'


async def test_pod_that_needs_a_label_set_a_moment_ago_is_taken(rig: Rig) -> None:
    """The agent's own view may be older than the pod: it reads the Node again before it refuses."""
    rig.faults.script = always(SlowAnswer(3600), lambda call: is_watch(call) and call.path.endswith("/nodes"))
    async with rig.running() as agent:
        await rig.until(lambda: rig.node())
        await asyncio.sleep(10)
        await rig.client().patch(NODES, "node-1", "", {"metadata": {"labels": {"disk": "ssd"}}})
        await asyncio.sleep(10)
        assert "disk" not in agent.node.node["metadata"]["labels"], "nobody has told it"
        await rig.create(pod("web", nodeSelector={"disk": "ssd"}))
        assert (await rig.phase("Running"))["phase"] == "Running"
        await rig.create(pod("other", nodeSelector={"disk": "hdd"}))
        assert (await rig.phase("Failed", "other"))["reason"] == "NodeAffinity"


async def test_agent_follows_the_labels_of_its_node(rig: Rig) -> None:
    async with rig.running() as agent:
        await rig.until(lambda: rig.node())
        await rig.client().patch(NODES, "node-1", "", {"metadata": {"labels": {"disk": "ssd"}}})
        await rig.until(lambda: agent.node.node["metadata"]["labels"].get("disk") == "ssd")
