"""What is not well is named with its reason, and what is well is not named."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wherry.assembly import daemon, settings, supervisor, troubles
from wherry.assembly.node import NodeSettings
from wherry.cli import status
from wherry.kit.errors import TimedOut

READY = [{"type": "Ready", "status": "True"}]


def pod(phase: str, conditions: list[dict[str, Any]] | None = None, **of_status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "a"}, "status": {"phase": phase, "conditions": conditions or [], **of_status}}


def waiting(reason: str, message: str = "") -> list[dict[str, Any]]:
    return [{"state": {"waiting": {"reason": reason, "message": message}}}]


@pytest.mark.parametrize(("given", "said"), [
    pytest.param(pod("Running", READY), [], id="ready"),
    pytest.param(pod("Succeeded"), [], id="done"),
    pytest.param(pod("Pending", containerStatuses=waiting("ErrImagePull", "image 'x'\n not found")),
                 ["pod shop/a: ErrImagePull (image 'x' not found)"], id="no image"),
    pytest.param(pod("Running", initContainerStatuses=waiting("CrashLoopBackOff")), ["pod shop/a: CrashLoopBackOff"], id="crashes"),
    pytest.param(pod("Pending", [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]),
                 ["pod shop/a: Unschedulable (0/1 nodes)"], id="no node"),
    pytest.param(pod("Running", [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"}]),
                 ["pod shop/a: ContainersNotReady (m)"], id="probe fails"),
    pytest.param(pod("Pending", containerStatuses=waiting("ContainerCreating")), ["pod shop/a: Pending"], id="on its way"),
    pytest.param(pod("Failed", reason="Evicted", message="low on memory"), ["pod shop/a: Evicted (low on memory)"], id="evicted"),
])  # fmt: skip
def test_a_pod_is_named_with_the_reason_that_lies_deepest(given: dict[str, Any], said: list[str]) -> None:
    assert [str(trouble) for trouble in troubles.of_pods([given])] == said


def test_a_node_is_named_with_each_condition_that_is_not_as_it_should_be() -> None:
    node = {
        "metadata": {"name": "n"}, "spec": {"unschedulable": True},
        "status": {"conditions": [
            {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure", "message": "full"},
            {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
            {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network"},
        ]},
    }  # fmt: skip
    assert [str(trouble) for trouble in troubles.of_node(node)] == [
        "node n: KubeletHasDiskPressure (full)", "node n: NotReady (no network)",
        "node n: SchedulingDisabled (let pods onto it with: kubectl uncordon)",
    ]  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NodeSettings]:
    made = settings.load_or_create(tmp_path / "cluster", {"api_port": 1})
    yield made
    shutil.rmtree(made.run_dir, ignore_errors=True)


def test_status_names_a_gateway_whose_image_is_being_made_and_why_a_process_cannot_run(cluster: NodeSettings) -> None:
    lock = supervisor.hold(supervisor.lock_path(cluster, "gateway"))
    assert lock is not None
    supervisor.broken_file(cluster, "server").write_text("state.db is damaged")
    said = {one["what"]: one["reason"] for one in status.collect(cluster)["troubles"]}
    os.close(lock.descriptor)
    assert said["gateway"] == "its image wherry.local/envoy:1.40 is still being made"
    assert said["process server"] == "state.db is damaged"
    assert said["process agent"] == "stopped"


def test_status_of_a_cluster_without_a_gateway_says_nothing_of_it(tmp_path: Path) -> None:
    cluster = settings.load_or_create(tmp_path / "cluster", {"api_port": 1, "gateway": False})
    assert not [one for one in status.collect(cluster)["troubles"] if "gateway" in one["what"]]
    assert troubles.of_gateway(cluster) == ()


async def test_an_up_that_waited_too_long_says_what_goes_on_and_how_to_stop_it(cluster: NodeSettings) -> None:
    with pytest.raises(TimedOut) as late:
        await daemon.wait_ready(cluster, limit_s=0.01, since=datetime.now(UTC))
    assert "go on trying in the background" in str(late.value)
    assert f"stop with `wherry down --data-dir {cluster.data_dir}`" in str(late.value)
