"""Disruption budgets, LoadBalancer addresses, aggregated roles; against the real API server."""

from functools import partial

import pytest

from wherry.orchestration.client.errors import TooManyRequests
from wherry.orchestration.controllers.cluster_role_aggregation.loop import Controller as Aggregation
from wherry.orchestration.controllers.disruption import decide
from wherry.orchestration.controllers.disruption.loop import Controller as Disruption
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.service_lb.loop import Controller as LoadBalancers
from wherry.orchestration.objects.kinds import CLUSTER_ROLES, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, SERVICES
from wherry.orchestration.objects.meta import Object, condition_of, name_of
from wherry.testing.cluster_objects import replica_set
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.virtual_time import EPOCH

BALANCERS = partial(LoadBalancers, addresses=("192.0.2.1",))


def some_pods(ready: int, unready: int = 0) -> list[Object]:
    owner = {"kind": "ReplicaSet", "uid": "rs", "controller": True}
    return [
        {"metadata": {"name": f"p{i}", "ownerReferences": [owner]},
         "status": {"conditions": [{"type": "Ready", "status": str(i < ready)}]}}
        for i in range(ready + unready)
    ]  # fmt: skip


@pytest.mark.parametrize(("spec", "ready", "unready", "scale", "allowed", "desired"), [
    pytest.param({"minAvailable": 2}, 3, 0, 3, 1, 2, id="at least so many"),
    pytest.param({"minAvailable": 3}, 3, 0, 3, 0, 3, id="no room"),
    pytest.param({"maxUnavailable": 1}, 3, 0, 3, 1, 2, id="at most so many out"),
    pytest.param({"maxUnavailable": 1}, 2, 1, 3, 0, 2, id="one is out already"),
    pytest.param({"maxUnavailable": "50%"}, 3, 0, 3, 2, 1, id="percentage rounds up"),
    pytest.param({"minAvailable": "50%"}, 3, 0, 3, 1, 2, id="least percentage rounds up"),
    pytest.param({"maxUnavailable": 1}, 3, 0, 5, 0, 4, id="owner wants more than there are"),
])  # fmt: skip
def test_allowed_disruptions(spec: Object, ready: int, unready: int, scale: int, allowed: int, desired: int):
    budget = {"metadata": {"name": "b", "generation": 3}, "spec": spec}
    pods = some_pods(ready, unready)
    scales = {"rs": scale} if decide.needs_scale(budget) else {}
    status = decide.decide(budget, pods, decide.expected(budget, pods, scales), EPOCH).status
    assert (status["disruptionsAllowed"], status["desiredHealthy"]) == (allowed, desired)
    assert status["observedGeneration"] == 3
    condition = condition_of(status["conditions"], "DisruptionAllowed")
    assert condition is not None and condition["reason"] == ("SufficientPods" if allowed else "InsufficientPods")


def test_granted_eviction_counts_as_gone_until_it_runs_out():
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1},
              "status": {"disruptedPods": {"p0": "2026-01-01T00:00:00Z", "other": "2026-01-01T00:00:00Z"}}}
    pods = some_pods(3)
    verdict = decide.decide(budget, pods, decide.Expected(3, 1), EPOCH)
    assert verdict.status["disruptionsAllowed"] == 1
    assert verdict.status["disruptedPods"] == {"p0": "2026-01-01T00:00:00Z"}
    assert verdict.recheck_s == 121
    late = decide.decide(budget, pods, decide.Expected(3, 1), EPOCH.replace(hour=1))
    assert late.status["disruptionsAllowed"] == 2 and "disruptedPods" not in late.status
    assert [name_of(pod) for pod in late.stayed] == ["p0"]


async def allowed(on: ControlPlane, wanted: int) -> None:
    async def so_many() -> bool:
        found = await on.find(POD_DISRUPTION_BUDGETS, "web")
        status = (found or {}).get("status") or {}
        return status.get("observedGeneration") == 1 and status.get("disruptionsAllowed") == wanted

    await on.until(so_many)


async def test_eviction_api_stops_at_the_budget():
    async with control_plane(Disruption, ReplicaSets) as on:
        await on.node()
        await on.client.create(POD_DISRUPTION_BUDGETS, {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        })
        await on.client.create(REPLICA_SETS, replica_set(replicas=3))

        async def three() -> bool:
            return len(await on.all(PODS)) == 3

        await on.until(three)
        pods = await on.all(PODS)
        for index, pod in enumerate(pods):
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name_of(pod)},
                       "target": {"kind": "Node", "name": "node-1"}}
            await on.client.create_subresource(PODS, name_of(pod), "default", "binding", binding)
            await on.report(name_of(pod), f"10.244.0.{index + 5}")
        await allowed(on, 1)
        first, second, _ = (name_of(pod) for pod in pods)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction"}
        await on.client.create_subresource(PODS, first, "default", "eviction", {**eviction, "metadata": {"name": first}})
        with pytest.raises(TooManyRequests):
            await on.client.create_subresource(PODS, second, "default", "eviction", {**eviction, "metadata": {"name": second}})
        await allowed(on, 0)


async def test_pods_without_owner_stop_a_budget_that_needs_one():
    async with control_plane(Disruption) as on:
        await on.client.create(POD_DISRUPTION_BUDGETS, {
            "metadata": {"name": "web", "namespace": "default"}, "spec": {"maxUnavailable": 1, "selector": {}}})
        await on.pod("lone", "10.244.0.5")

        async def told() -> bool:
            return "UnmanagedPods" in dict(await on.events())

        await on.until(told)


async def test_load_balancer_gets_the_address_and_loses_it():
    async with control_plane(BALANCERS) as on:
        await on.service(type="LoadBalancer")

        async def has() -> list[Object]:
            found = await on.find(SERVICES, "web")
            return ((found or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or []

        assert await on.until(has) == [{"ip": "192.0.2.1", "ipMode": "VIP"}]
        await on.client.patch(SERVICES, "web", "default", {"spec": {"type": "ClusterIP"}})

        async def has_not() -> bool:
            return not await has()

        await on.until(has_not)


async def test_second_balancer_of_a_port_waits_for_the_first():
    async with control_plane(BALANCERS) as on:
        async def ingress(name: str) -> list[Object]:
            found = await on.find(SERVICES, name)
            return ((found or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or []

        await on.service("a", type="LoadBalancer")
        await on.until(lambda: ingress("a"))
        await on.service("b", type="LoadBalancer")

        async def told() -> bool:
            return "SyncLoadBalancerFailed" in dict(await on.events())

        await on.until(told)
        assert not await ingress("b")
        await on.client.delete(SERVICES, "a", "default")
        await on.until(lambda: ingress("b"))


async def test_class_of_somebody_else_is_left_alone():
    async with control_plane(BALANCERS) as on:
        await on.service("theirs", type="LoadBalancer", loadBalancerClass="sea.dev/theirs", ports=[{"port": 81}])
        await on.service("ours", type="LoadBalancer")

        async def done() -> bool:
            found = await on.find(SERVICES, "ours")
            return bool(((found or {}).get("status") or {}).get("loadBalancer"))

        await on.until(done)
        assert not (await on.find(SERVICES, "theirs"))["status"].get("loadBalancer")


async def test_aggregated_role_takes_in_what_it_selects():
    async with control_plane(Aggregation) as on:
        rule = {"apiGroups": ["sea.dev"], "resources": ["boats"], "verbs": ["get"]}
        await on.client.create(CLUSTER_ROLES, {
            "metadata": {"name": "boats", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}, "rules": [rule]})

        async def taken_in() -> bool:
            found = await on.find(CLUSTER_ROLES, "view")
            return rule in (found or {})["rules"]

        await on.until(taken_in)
        await on.client.delete(CLUSTER_ROLES, "boats")

        async def let_go() -> bool:
            return not await taken_in()

        await on.until(let_go)
