"""Start the cluster, or bring it back after a crash or a reboot. Returns when the node is Ready.

examples:
  wherry up
  wherry up --gateway-http-port 8080 --gateway-https-port 8443
  wherry up --data-dir /srv/second --api-port 7443 --node-port 11250 --registry-port 6050 \\
            --pod-cidr 10.245.0.0/24 --service-cidr 10.97.0.0/16 --no-gateway --context second
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from wherry.assembly import checks, daemon, settings, start, troubles
from wherry.assembly.findings import Finding
from wherry.assembly.node import PORTS, NodeSettings
from wherry.cli import output
from wherry.kit.errors import Invalid

READY_LIMIT_S = 60.0  # an emulated or very busy machine needs more: --timeout
TEXTS = {
    "node_name": "name of this node (default the host name)",
    "node_address": "address other machines reach this node at (default that of the default route)",
    "pod_cidr": "range of pod addresses (default 10.244.0.0/16); each node gets a part of it",
    "unenforced_policies": "refuse (default) or warn: what happens to a NetworkPolicy, which this version does not enforce",
    "service_cidr": "range of Service addresses (default 10.96.0.0/16)",
    "listen_addresses": "more addresses for API, agent and registry than loopback and the node's (0.0.0.0: all)",
    "without": "components that something else stands in for, such as scheduler,proxy",
    "reserved_ports": "further ports of this machine that no workload gets (default 22,53)",
}

def configure(parser: argparse.ArgumentParser) -> None:
    for name in PORTS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, dest=name)
    for name, text in TEXTS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text or None)
    parser.add_argument("--node-cidr-mask-size", type=int, help="size of a node's part of the pod range (default 24: 250 pods)")
    parser.add_argument("--backup-hours", type=float, help="hours between automatic copies of the store (default 6)")
    parser.add_argument("--backups-kept", type=int, help="copies kept (default 12)")
    parser.add_argument("--context", dest="name", help="name of the kubeconfig context (default wherry)")
    parser.add_argument(
        "--timeout", type=seconds, default=READY_LIMIT_S, metavar="SECONDS", help="how long to wait for the node (default 60)"
    )
    parser.add_argument("--no-gateway", dest="gateway", action="store_const", const=False, help="do not run the API gateway")
    parser.add_argument(
        "--external-ips", action="store_const", const=True, help="let Services claim addresses by spec.externalIPs"
    )
    parser.add_argument("--kubeconfig", help="the file the context is merged into (default $KUBECONFIG or ~/.kube/config)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")

def seconds(text: str) -> float:
    """A span that a user named."""
    value = float(text.removesuffix("s"))
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value

def given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings the user named; the others keep their default or what the cluster has."""
    names = (*PORTS, *TEXTS, "name", "gateway", "external_ips", "backup_hours", "backups_kept", "node_cidr_mask_size")
    found = {name: value for name in names if (value := getattr(args, name)) is not None}
    if "without" in found:
        found["without"] = tuple(filter(None, found["without"].split(",")))
    return found

def refuse_if_unfit(cluster: NodeSettings) -> None:
    """Raise `Invalid` listing everything that is missing, with the commands that mend it."""
    refuse([checks.root(), *checks.programs(), *checks.ports(cluster), *checks.ranges(cluster)])

def refuse(found: list[Finding]) -> None:
    """Raise `Invalid` listing those of `found` that are not well, with the commands that mend them."""
    bad = [f for f in found if not f.ok]
    if bad:
        lines = "\n".join(f"  {f.check}: {f.detail or 'missing'}\n      mend: {f.mend}" for f in bad)
        raise Invalid(f"this machine is not ready:\n{lines}")

def run(args: argparse.Namespace) -> int:
    """0 when the node is Ready."""
    if not checks.root().ok:
        refuse_if_unfit(NodeSettings(data_dir=args.data_dir))
    began_at = time.monotonic()
    is_new = not settings.exists(args.data_dir)
    cluster = settings.load_or_create(args.data_dir, given(args))
    since = datetime.now(UTC)
    if daemon.is_running(cluster):
        since = datetime.fromtimestamp(0, UTC)
    else:
        try:
            refuse_if_unfit(cluster)
        except Invalid:
            if is_new:  # nothing was made yet, and other flags must be accepted next time
                settings.discard(cluster)
            raise
    settings.remember(cluster)
    context = start.prepare(cluster, kubeconfig=args.kubeconfig)
    context_of = f"kubeconfig context {cluster.cluster.name!r} is in {context}\n" if context else f"a node of {cluster.api_url}\n"
    daemon.start(cluster)
    asyncio.run(daemon.wait_ready(cluster, limit_s=args.timeout, since=since))
    seconds = time.monotonic() - began_at
    pending = troubles.of_gateway(cluster)
    if args.output == "json":
        output.data({
            "ready": True, "seconds": round(seconds, 3), "context": cluster.cluster.name, "kubeconfig": str(context or ""),
            "pending": [str(trouble) for trouble in pending],
        })  # fmt: skip
        return 0
    what = f"node {cluster.node_name} is Ready" if daemon.has_agent(cluster) else "the API answers"
    output.line(f"wherry is up: {what} after {seconds:.2f} s")
    output.line(context_of)
    for trouble in pending:
        output.line(f"not ready yet: {trouble}")
    output.line("try next:")
    output.line("  kubectl get nodes,pods -A            (or: wherry kubectl get nodes)")
    output.line("  wherry deploy examples/hello               (or a folder of your own)")
    output.line("  wherry status" + settings.data_dir_flag(cluster))
    return 0
