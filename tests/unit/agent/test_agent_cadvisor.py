"""/metrics/cadvisor has the names and labels that dashboards ask for."""

from datetime import UTC, datetime

from agent_rig import container, pod

from wherry.orchestration.agent import cadvisor
from wherry.orchestration.agent.metrics import ContainerUse, NodeUse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NODE = NodeUse(5_000_000_000, 1000, 2000, 3000)


def text() -> str:
    obj = pod("web", container(resources={"limits": {"memory": "64Mi", "cpu": "500m"}}))
    obj["metadata"]["uid"] = "u-1"
    names = obj["metadata"]["namespace"], obj["metadata"]["name"], "u-1", obj["spec"]["containers"][0]["name"]
    use = ContainerUse(*names, "abc", "web:1", 10**9, 2 * 10**9, 300, 200, 4096)
    gone = ContainerUse("ns", "gone", "u-9", "main", "def", "web:1", 0, 0, 0, 0, 0)
    return cadvisor.render(NODE, [use, gone], [obj], NOW, root="kubepods", cpus=2, memory_bytes=10**9)


def test_a_container_has_a_row_a_pod_a_sum_and_the_machine_a_root() -> None:
    rows = [line for line in text().splitlines() if line.startswith("container_cpu_usage_seconds_total{")]
    assert len(rows) == 3 and all('cpu="total"' in row for row in rows)
    own, total, root = rows
    assert 'container=""' not in own and 'image="web:1",name="abc"' in own and "} 2.0 " in own and "/podu-1/abc" in own
    assert 'container=""' in total and 'id="/kubepods/' in total and "} 2.0 " in total
    assert 'id="/"' in root and "} 5.0 " in root


def test_every_family_is_described_once_and_limits_are_stated() -> None:
    lines = text().splitlines()
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) and {line.partition("{")[0].split()[0] for line in lines if line[0] != "#"} == set(families)
    assert any(line.startswith("container_spec_memory_limit_bytes{") and f"}} {64 << 20} " in line for line in lines)
    assert any(line.startswith("container_spec_cpu_quota{") and "} 50000 " in line for line in lines)
