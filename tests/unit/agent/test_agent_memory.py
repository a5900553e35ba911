"""Back-off, lost runs, token renewal, patches: the small state behind a pod."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from agent_rig import container, pod

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.clock import rfc3339
from wherry.kit.http.message import Request, Response
from wherry.orchestration.agent.plan.status_patch import status_patch
from wherry.orchestration.agent.pod.memory import PodMemory, with_lost_runs
from wherry.orchestration.agent.pod.termination import stopped_before
from wherry.orchestration.agent.volumes.tokens import Tokens
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.testing.virtual_time import VirtualClock

NS = 1_000_000_000


def test_restart_delay_doubles_to_its_limit_and_is_forgiven_after_ten_minutes() -> None:
    memory, seen = PodMemory(), []
    for attempt in range(8):
        memory.note_started("app", attempt=attempt, delay_s_max=300)
        seen.append(memory.restart_delay_s.get("app", 0))
    assert seen == [0, 10, 20, 40, 80, 160, 300, 300]
    long_run = ContainerStatus("c", "s", "app", 8, State.EXITED, "i", "i", 0, NS, 601 * NS)
    memory.forgive({"app": (long_run,)})
    assert "app" not in memory.restart_delay_s


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        pytest.param({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, 137, "ContainerStatusUnknown", id="was running"),
        pytest.param({"terminated": {"exitCode": 4, "reason": "Error"}}, 4, "Error", id="had ended"),
    ],
)
def test_run_that_only_the_api_remembers(state: dict[str, Any], code: int, reason: str) -> None:
    subject = pod("web", container())
    shown = {"name": "app", "containerID": "wherry://abc", "restartCount": 3, "state": state}
    subject["status"] = {"containerStatuses": [shown]}
    lost = with_lost_runs(subject, {})["app"][-1]
    assert (lost.id, lost.attempt, lost.exit_code, lost.reason) == ("abc", 3, code, reason)


def test_container_that_never_ran_is_not_lost() -> None:
    subject = pod("web", container())
    subject["status"] = {"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}]}
    assert with_lost_runs(subject, {}) == {}


@pytest.mark.virtual_time
async def test_token_is_asked_for_once_and_again_at_80_percent_of_its_life() -> None:
    clock, asked = VirtualClock(), []

    async def handle(request: Request) -> Response:
        body = orjson.loads(await request.read(1 << 20))
        asked.append(body["spec"])
        expires = clock.now() + timedelta(seconds=body["spec"]["expirationSeconds"])
        return Response(201, [], orjson.dumps({"status": {"token": f"t{len(asked)}", "expirationTimestamp": rfc3339(expires)}}))

    tokens = Tokens(Client(LocalTransport(handle, None)), clock)
    subject, source = pod("web", serviceAccountName="robot"), {"expirationSeconds": 1000, "audience": "vault"}
    assert (await tokens.token(subject, source)).text == "t1"
    await asyncio.sleep(799)
    assert (await tokens.token(subject, source)).text == "t1"
    await asyncio.sleep(2)
    assert (await tokens.token(subject, source)).text == "t2"
    assert asked[0]["audiences"] == ["vault"] and asked[0]["boundObjectRef"]["name"] == "web"


def test_patch_names_what_is_gone_and_leaves_foreign_conditions_alone() -> None:
    foreign = {"type": "example.com/lb", "status": "True"}
    old = {"conditions": [foreign, {"type": "Ready", "status": "False", "reason": "X"}], "reason": "Y", "podIPs": [{"ip": "1"}]}
    new = {"conditions": [foreign, {"type": "Ready", "status": "True"}], "podIPs": [{"ip": "2"}]}
    patch = status_patch({"metadata": {"uid": "u"}}, old, new)
    assert patch == {
        "metadata": {"uid": "u"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": None}],
            "reason": None,
            "podIPs": [{"$patch": "delete", "ip": "1"}, {"ip": "2"}],
        },
    }
    assert status_patch({}, new, new) is None


def test_sidecars_stop_after_the_apps_in_reverse_order() -> None:
    side = [container(name, restartPolicy="Always") for name in ("one", "two")]
    subject = pod("web", container("app"), initContainers=side)
    live = ["one", "two", "app"]
    assert stopped_before(subject, "app", live) == []
    assert stopped_before(subject, "two", live) == ["app"]
    assert stopped_before(subject, "one", live) == ["two", "app"]
