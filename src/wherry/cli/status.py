"""What runs: the cluster's processes with their memory, the node, the pods, the gateway; and why what is not well is not.

examples:
  wherry status
  wherry status -o json
"""

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wherry.assembly import daemon, settings, supervisor, troubles
from wherry.assembly.components import processes
from wherry.assembly.node import NodeSettings
from wherry.cli import output
from wherry.kit.errors import Unavailable

EXIT_NOT_RUNNING = 3


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def memory_mib(pid: int) -> float:
    """Proportional set size of a process, in MiB; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0.0)


def collect(cluster: NodeSettings) -> dict[str, Any]:
    """Everything `wherry status` knows, as one document."""
    found_processes = []
    for name in ("supervisor", *processes(cluster)):
        pid = supervisor.holder(supervisor.lock_path(cluster, name))
        state = "running" if pid else "stopped"
        found_processes.append({"name": name, "pid": pid, "state": state, "memoryMiB": round(memory_mib(pid), 1)})
    found: dict[str, Any] = {"dataDir": str(cluster.data_dir), "processes": found_processes, "node": None, "pods": {}}
    seen = [*troubles.of_components(cluster)]
    if supervisor.holder(supervisor.lock_path(cluster, "gateway")):
        seen += troubles.of_gateway(cluster)
    found["troubles"] = [asdict(trouble) for trouble in seen]
    try:
        node = daemon.get(cluster, f"/api/v1/nodes/{cluster.node_name}")
        own = f"?fieldSelector=spec.nodeName%3D{cluster.node_name}" if cluster.is_joined else ""  # a node sees no others
        pods = daemon.get(cluster, f"/api/v1/pods{own}")["items"]
    except (Unavailable, OSError) as error:
        found["problem"] = str(error)
        return found
    found["node"] = {"name": cluster.node_name, "ready": daemon.node_is_ready(node)}
    found["pods"] = dict(Counter(pod.get("status", {}).get("phase", "Unknown") for pod in pods))
    seen += [*troubles.of_node(node), *troubles.of_pods(pods)]
    found["troubles"] = [asdict(trouble) for trouble in seen]
    return found


def run(args: argparse.Namespace) -> int:
    """0 when the node is Ready, 3 otherwise."""
    cluster = settings.load(args.data_dir)
    found = collect(cluster)
    ready = bool(found["node"] and found["node"]["ready"])
    if args.output == "json":
        output.data(found)
        return 0 if ready else EXIT_NOT_RUNNING
    rows = [
        (p["name"], p["state"], str(p["pid"] or ""), f"{p['memoryMiB']:.0f} MiB" if p["pid"] else "")
        for p in found["processes"]
    ]
    output.table(("PROCESS", "STATE", "PID", "MEMORY"), rows)
    output.line()
    for trouble in found["troubles"]:
        output.line(f"not well: {troubles.Trouble(**trouble)}")
    if "problem" in found:
        output.line(f"api: {found['problem']}")
        output.line("bring it back with: wherry up" + settings.data_dir_flag(cluster))
        return EXIT_NOT_RUNNING
    output.line(f"node {found['node']['name']}: {'Ready' if ready else 'NotReady'}")
    output.line("pods: " + (", ".join(f"{count} {phase}" for phase, count in sorted(found["pods"].items())) or "none"))
    return 0 if ready else EXIT_NOT_RUNNING
