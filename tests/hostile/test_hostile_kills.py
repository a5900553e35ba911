"""kill -9 of one process, or of several at once, again and again: nothing acknowledged is lost, and the pod never notices."""

import random
import time
from collections import Counter

import pytest
from hostile_cluster import OURS, Victim, Writer, eventually
from scale import LIMIT_S, count

KILLS = count(2, 1000)  # of each process, at least
TOLD_EVERY = 100

pytestmark = [pytest.mark.node, pytest.mark.cluster, pytest.mark.timeout(LIMIT_S)]


def test_kills_of_each_process_lose_no_acknowledged_object_and_no_container(attacked: Victim) -> None:
    chance, writer, began = random.Random(), Writer(attacked), time.monotonic()
    attacked.run_pod("kept", "sleep 1000000")
    before = attacked.container_id("kept")
    writer.start()
    kills, rounds = Counter[str](), 0
    try:
        while min(kills[name] for name in OURS) < KILLS:
            victims = chance.sample(OURS, chance.randint(1, len(OURS)))
            attacked.kill(*victims)
            kills.update(victims)
            told = len(writer.acknowledged)
            eventually(lambda told=told: len(writer.acknowledged) > told, f"a write is acknowledged after the end of {victims}")  # type: ignore[misc]
            writer.stopped.wait(chance.uniform(0, 0.3))
            rounds += 1
            if rounds % TOLD_EVERY == 0:
                print(f"{rounds} rounds, {kills.total()} kills, {told} acknowledged, {time.monotonic() - began:.0f} s", flush=True)
        eventually(attacked.is_well, "the cluster is well")
        count_so_far = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > count_so_far + 5, "more writes are acknowledged")
    finally:
        writer.stopped.set()
        writer.join()
    found = set(attacked.kubectl("get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}").split())
    lost = set(writer.acknowledged) - found
    print(f"kills: {dict(kills)} in {rounds} rounds, acknowledged: {len(writer.acknowledged)}, lost: {len(lost)}, {time.monotonic() - began:.0f} s")
    assert not lost
    assert attacked.container_id("kept") == before
    assert attacked.kubectl("get", "pod", "kept", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
    attacked.kubectl("delete", "configmaps", "--all", "--wait=false")
    attacked.kubectl("delete", "pod", "kept")
