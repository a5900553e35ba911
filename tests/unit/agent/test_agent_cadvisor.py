"""/metrics/cadvisor has the names and labels that dashboards ask for."""

from datetime import UTC, datetime

from agent_rig import container, pod

from wherry.infrastructure.linux.netlink import LinkCounters
from wherry.orchestration.agent.node import cadvisor
from wherry.orchestration.agent.node.metrics import ContainerUse, NodeUse, summary

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NODE = NodeUse(5_000_000_000, 1000, 2000, 3000, (LinkCounters("ens3", "", 10, 2, 0, 0, 20, 4, 0, 0),))
LINKS = {"u-1": (LinkCounters("eth0", "veth", 1, 2, 3, 4, 5, 6, 7, 8), LinkCounters('a"b\\', "dummy", 0, 0, 0, 0, 0, 0, 0, 0)), "u-9": ()}


def text() -> str:
    obj = pod("web", container(resources={"limits": {"memory": "64Mi", "cpu": "500m"}}))
    obj["metadata"]["uid"] = "u-1"
    names = obj["metadata"]["namespace"], obj["metadata"]["name"], "u-1", obj["spec"]["containers"][0]["name"]
    use = ContainerUse(*names, "abc", "web:1", 10**9, 2 * 10**9, 300, 200, 4096)
    gone = ContainerUse("ns", "gone", "u-9", "main", "def", "web:1", 0, 0, 0, 0, 0)
    return cadvisor.render(NODE, [use, gone], LINKS, [obj], NOW, root="kubepods", cpus=2, memory_bytes=10**9)


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


def test_each_link_of_a_pod_and_of_the_machine_has_its_rows() -> None:
    rows = dict(line.rsplit(" ", 1)[0].rsplit(" ", 1) for line in text().splitlines() if line.startswith("container_network_"))
    names = ("receive_bytes", "receive_packets", "receive_errors", "receive_packets_dropped",
             "transmit_bytes", "transmit_packets", "transmit_errors", "transmit_packets_dropped")  # fmt: skip
    own = [f'container_network_{name}_total{{container="",id="/kubepods/podu-1",image="",interface="eth0",name="",'
           'namespace="default",pod="web"}' for name in names]  # fmt: skip
    assert [rows[name] for name in own] == list("12345678")
    root = 'container_network_transmit_bytes_total{container="",id="/",image="",interface="ens3",name="",namespace="",pod=""}'
    assert rows[root] == "20" and len(rows) == 3 * len(names)


def test_a_link_that_a_workload_named_cannot_write_labels() -> None:
    assert 'interface="a\\"b\\\\",name=""' in text()


def test_the_summary_has_the_network_of_the_node_and_of_pods_that_have_their_own() -> None:
    own, shared = pod("web", container()), pod("host", container())
    own["metadata"]["uid"], shared["metadata"]["uid"] = "u-1", "u-2"
    found = summary("n", NODE, [], LINKS, [own, shared], NOW)
    row = {"name": "eth0", "rxBytes": 1, "rxErrors": 3, "txBytes": 5, "txErrors": 7}
    network = found["pods"][0]["network"]
    assert network["interfaces"][0] == row and {**network, **row} == network and len(network["interfaces"]) == 2
    assert "network" not in found["pods"][1]
    assert found["node"]["network"]["interfaces"][0]["name"] == "ens3" and found["node"]["network"]["name"] == ""
