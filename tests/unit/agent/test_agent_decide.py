"""The next actions for a pod follow from what is seen, and nothing else."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from agent_rig import container, pod
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.runtime.engine import ContainerStatus, SandboxStatus, State
from wherry.kit.clock import SystemClock
from wherry.orchestration.agent.plan.decide import (
    NS,
    CreateSandbox,
    Kill,
    KillContainer,
    Plan,
    PodView,
    PrepareImage,
    RemoveContainer,
    SetUpVolumes,
    StartContainer,
    decide,
    should_restart,
)
from wherry.orchestration.agent.plan.status import StatusInputs, Waiting, build
from wherry.orchestration.objects.meta import condition_of

SANDBOX = SandboxStatus("s-0", True, IPv4Address("10.244.0.2"), 0, {}, "")
T0 = 1000 * NS


def run(name: str = "app", attempt: int = 0, state: State = State.RUNNING, code: int = 0, **fields: Any) -> ContainerStatus:
    return ContainerStatus(
        id=f"{name}-{attempt}", sandbox_id=fields.pop("sandbox_id", "s-0"), name=name, attempt=attempt, state=state,
        image="i", image_ref="i", created_at_ns=T0, started_at_ns=T0, exit_code=code,
        finished_at_ns=T0 if state == State.EXITED else 0, **fields,
    )  # fmt: skip


def exited(name: str = "app", code: int = 0, attempt: int = 0, **fields: Any) -> ContainerStatus:
    return run(name, attempt, State.EXITED, code, **fields)


def view(subject: dict[str, Any], *runs: ContainerStatus, **fields: Any) -> PodView:
    by_name: dict[str, tuple[ContainerStatus, ...]] = {}
    for entry in runs:
        by_name[entry.name] = (*by_name.get(entry.name, ()), entry)
    every = [c["name"] for key in ("initContainers", "containers") for c in subject["spec"].get(key, ())]
    defaults: dict[str, Any] = {
        "sandbox": SANDBOX, "volumes_ready": True, "ready_images": frozenset(every), "now_ns": T0 + NS,
        "hooked": frozenset(r.id for r in runs), "started": frozenset(r.id for r in runs), "sandbox_attempt": 0,
    }  # fmt: skip
    return PodView(pod=subject, runs=by_name, **{**defaults, **fields})


def test_new_pod_gets_sandbox_volumes_and_image_at_once() -> None:
    fresh = view(pod(), sandbox=None, volumes_ready=False, ready_images=frozenset(), sandbox_attempt=-1)
    assert decide(fresh).actions == (CreateSandbox(0), SetUpVolumes(), PrepareImage("app"))


def test_start_waits_for_what_is_under_way() -> None:
    assert decide(view(pod(), volumes_ready=False, busy=frozenset({"volumes"}))).actions == ()
    assert decide(view(pod())).actions == (StartContainer("app", 0),)
    assert decide(view(pod(), busy=frozenset({"container:app"}))).actions == ()


def test_second_container_waits_for_the_first_ones_hook() -> None:
    two = pod("web", container("a"), container("b"))
    held = view(two, run("a"), hooked=frozenset(), busy=frozenset({"container:a"}))
    assert decide(held).actions == ()
    assert decide(view(two, run("a"))).actions == (StartContainer("b", 0),)


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        pytest.param("Always", 0, True, id="always after success"),
        pytest.param("Always", 1, True, id="always after failure"),
        pytest.param("OnFailure", 0, False, id="on failure after success"),
        pytest.param("OnFailure", 2, True, id="on failure after failure"),
        pytest.param("Never", 1, False, id="never"),
    ],
)
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    plan = decide(view(pod(restartPolicy=policy), exited(code=code)))
    assert plan.actions == ((StartContainer("app", 1),) if again else ())
    assert plan.is_finished is not again


def test_container_rules_beat_policies() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    body = container(restartPolicy="Never", restartPolicyRules=rules)
    subject = pod("web", body)
    assert should_restart(subject, body, exited(code=42))
    assert not should_restart(subject, body, exited(code=1))


def test_crash_loop_waits_from_the_end_of_the_run() -> None:
    plan = decide(view(pod(), exited(code=1, attempt=1), restart_delay_s={"app": 20.0}))
    assert plan == Plan((), T0 + 20 * NS, {"app": 20.0}, False)
    later = decide(view(pod(), exited(code=1, attempt=1), restart_delay_s={"app": 20.0}, now_ns=T0 + 21 * NS))
    assert later.actions == (StartContainer("app", 2),)


def test_dead_sandbox_is_replaced_and_its_containers_start_again() -> None:
    dead = replace(SANDBOX, ready=False)
    assert decide(view(pod(), exited(), sandbox=dead)).actions[0] == CreateSandbox(1)
    fresh = replace(SANDBOX, id="s-1")
    assert decide(view(pod(), exited(), sandbox=fresh, sandbox_attempt=1)).actions == (StartContainer("app", 1),)


def test_dead_sandbox_of_a_finished_pod_stays_dead() -> None:
    dead = replace(SANDBOX, ready=False)
    plan = decide(view(pod(restartPolicy="Never"), exited(), sandbox=dead))
    assert plan.actions == () and plan.is_finished


def test_sidecar_must_be_started_before_the_app() -> None:
    subject = pod("web", container(), initContainers=[container("side", restartPolicy="Always")])
    assert decide(view(subject, run("side"), started=frozenset())).actions == ()
    assert decide(view(subject, run("side"))).actions == (StartContainer("app", 0),)


def test_ended_sidecar_restarts_while_the_app_runs() -> None:
    subject = pod("web", container(), initContainers=[container("side", restartPolicy="Always")], restartPolicy="Never")
    assert decide(view(subject, exited("side"), run())).actions == (StartContainer("side", 1),)
    assert decide(view(subject, run("side"), exited())).is_finished, "sidecars do not keep a pod alive"


def test_unhealthy_container_is_killed_with_the_probes_grace() -> None:
    plan = decide(view(pod(), run(), kills={"app-0": Kill("why", 3.0)}))
    assert plan.actions == (KillContainer("app", "app-0", "why", 3.0),)


def test_only_two_runs_are_kept() -> None:
    plan = decide(view(pod(), exited(attempt=0), exited(attempt=1), run(attempt=2)))
    assert plan.actions == (RemoveContainer("app-0"),)


def test_a_crash_before_the_date_was_set_back_is_not_waited_for() -> None:
    hour_s = 3600
    plan = decide(view(pod(), exited(code=1, attempt=1), restart_delay_s={"app": 20.0}, now_ns=T0 - hour_s * NS))
    assert plan.crash_loops == {} and plan.actions


def test_refused_action_waits_for_its_time() -> None:
    plan = decide(view(pod(), waits_s={"container:app": 5.0}))
    assert plan.actions == () and plan.wake_at_ns == view(pod()).now_ns + 5 * NS


@given(st.lists(st.sampled_from([State.RUNNING, State.EXITED, State.CREATED]), max_size=3), st.integers(0, 3), st.booleans())
def test_decision_is_repeatable_and_never_starts_a_running_container(states: list[State], code: int, ready: bool) -> None:
    runs = [run(attempt=i, state=s, code=code if s == State.EXITED else 0) for i, s in enumerate(states)]
    seen = view(pod(), *runs, volumes_ready=ready)
    assert decide(seen) == decide(seen)
    if states and states[-1] == State.RUNNING:
        assert not any(isinstance(a, StartContainer) for a in decide(seen).actions)


def status(subject: dict[str, Any], *runs: ContainerStatus, **fields: Any) -> dict[str, Any]:
    by_name: dict[str, list[ContainerStatus]] = {}
    for entry in runs:
        by_name.setdefault(entry.name, []).append(entry)
    live = frozenset(r.id for r in runs if r.state == State.RUNNING)
    defaults: dict[str, Any] = {"sandbox": SANDBOX, "ready": live, "started": live}
    return build(StatusInputs(subject, "192.0.2.1", SystemClock().now(), by_name, **{**defaults, **fields}))


@pytest.mark.parametrize(
    ("policy", "runs", "ended", "phase"),
    [
        pytest.param("Always", (), False, "Pending", id="nothing yet"),
        pytest.param("Always", (run("a"),), False, "Pending", id="one of two"),
        pytest.param("Always", (run("a"), run("b")), False, "Running", id="both"),
        pytest.param("Always", (exited("a"), run("b")), False, "Running", id="one restarts"),
        pytest.param("Never", (exited("a"), exited("b")), True, "Succeeded", id="both well"),
        pytest.param("Never", (exited("a"), exited("b", 1)), True, "Failed", id="one badly"),
        pytest.param("Always", (), True, "Failed", id="deleted before it started"),
    ],
)
def test_phase(policy: str, runs: tuple[ContainerStatus, ...], ended: bool, phase: str) -> None:
    subject = pod("web", container("a"), container("b"), restartPolicy=policy)
    assert status(subject, *runs, is_ended=ended)["phase"] == phase


def test_unready_containers_are_named() -> None:
    found = status(pod("web", container("a"), container("b")), run("a"), run("b"), ready=frozenset({"a-0"}))
    ready = condition_of(found["conditions"], "Ready")
    assert (ready["reason"], ready["message"]) == ("ContainersNotReady", "containers with unready status: [b]")


def test_readiness_gate_holds_ready_back() -> None:
    subject = pod(readinessGates=[{"conditionType": "example.com/lb"}])
    found = condition_of(status(subject, run())["conditions"], "Ready")
    assert found["reason"] == "ReadinessGatesNotReady"
    subject["status"] = {"conditions": [{"type": "example.com/lb", "status": "True"}]}
    assert condition_of(status(subject, run())["conditions"], "Ready")["status"] == "True"


def test_crash_loop_shows_waiting_and_the_last_end() -> None:
    found = status(pod(), exited(code=7, attempt=3), waiting={"app": Waiting("CrashLoopBackOff", "back-off")})
    shown = found["containerStatuses"][0]
    assert shown["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    assert shown["lastState"]["terminated"]["exitCode"] == 7
    assert (shown["restartCount"], found["phase"]) == (3, "Running")


def test_terminal_phase_never_reverts() -> None:
    subject = pod()
    subject["status"] = {"phase": "Succeeded"}
    assert status(subject, run())["phase"] == "Succeeded"
