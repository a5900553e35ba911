"""Only what the node stands on is restarted without the growing wait."""

import pytest

from wherry.orchestration.agent.pod.memory import SYSTEM_BACKOFF_S_MAX, crash_backoff_s_max


@pytest.mark.parametrize(("namespace", "priority_class", "wanted"), [
    pytest.param("wherry-system", "system-node-critical", SYSTEM_BACKOFF_S_MAX, id="the gateway comes back at once"),
    pytest.param("shop", "system-node-critical", 300.0, id="a tenant's pod of the class waits"),
    pytest.param("wherry-system", "", 300.0, id="another pod of the namespace waits"),
])
def test_back_off(namespace: str, priority_class: str, wanted: float) -> None:
    pod = {"metadata": {"namespace": namespace}, "spec": {"priorityClassName": priority_class}}
    assert crash_backoff_s_max(pod, 300.0) == wanted
