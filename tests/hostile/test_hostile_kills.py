"""kill -9 of every process in turn, again and again: nothing acknowledged is lost, and the pod never notices."""

import random
import time

import pytest
from hostile_cluster import OURS, Victim, Writer, eventually
from scale import LIMIT_S, count

KILLS = count(1, 1000)  # of each process

pytestmark = [pytest.mark.node, pytest.mark.cluster, pytest.mark.timeout(LIMIT_S)]


def test_kills_of_each_process_lose_no_acknowledged_object_and_no_container(attacked: Victim) -> None:
    chance, writer, began = random.Random(), Writer(attacked), time.monotonic()
    attacked.run_pod("kept", "sleep 1000000")
    before = attacked.container_id("kept")
    writer.start()
    try:
        for _ in range(KILLS):
            for name in OURS:
                attacked.kill(name)
                told = len(writer.acknowledged)
                eventually(lambda told=told: len(writer.acknowledged) > told, f"a write is acknowledged after {name} was killed")  # type: ignore[misc]
                writer.stopped.wait(chance.uniform(0, 0.3))
        eventually(attacked.is_well, "the cluster is well")
        count_so_far = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > count_so_far + 5, "more writes are acknowledged")
    finally:
        writer.stopped.set()
        writer.join()
    found = set(attacked.kubectl("get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}").split())
    lost = set(writer.acknowledged) - found
    print(f"kills: {KILLS * len(OURS)}, acknowledged: {len(writer.acknowledged)}, lost: {len(lost)}, {time.monotonic() - began:.0f} s")
    assert not lost
    assert attacked.container_id("kept") == before
    assert attacked.kubectl("get", "pod", "kept", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
    attacked.kubectl("delete", "configmaps", "--all", "--wait=false")
    attacked.kubectl("delete", "pod", "kept")
