"""Make this machine a node of a cluster that runs elsewhere. Returns when the node is Ready.

The token comes from `wherry token create` on the server's machine; with it the machine proves itself and knows the cluster by the
pin of its CA. Both machines must be in one network: pods reach each other by plain routes.

examples:
  wherry join 10.0.0.1 --token abcdef.0123456789abcdef.<hash>
  wherry join 10.0.0.1 --token - < token
  wherry join 10.0.0.1:7443 --token ... --node-name worker-2 --node-address 10.0.0.2
"""

import argparse
import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wherry.assembly import checks, daemon, settings
from wherry.assembly import join as joining
from wherry.assembly.node import WORKER, NodeSettings
from wherry.cli import output, up

NAMES = ("node_name", "node_address", "node_port", "registry_port", "reserved_ports", "listen_addresses", "without")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", help="of the API server: HOST or HOST:PORT (default 6443)")
    parser.add_argument("--token", required=True, help="what wherry token create printed; - reads it from standard input")
    for name in NAMES:
        kind = int if name.endswith("_port") else str
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind, help=up.TEXTS.get(name))
    parser.add_argument(
        "--timeout", type=up.seconds, default=up.READY_LIMIT_S, metavar="SECONDS", help="how long to wait for the node (default 60)"
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings the user named."""
    found = {name: value for name in NAMES if (value := getattr(args, name)) is not None}
    if "without" in found:
        found["without"] = tuple(filter(None, found["without"].split(",")))
    return found


def run(args: argparse.Namespace) -> int:
    """0 when the node is Ready."""
    began_at, since = time.monotonic(), datetime.now(UTC)
    token = joining.parse(sys.stdin.readline() if args.token == "-" else args.token)
    data_dir = Path(os.path.abspath(args.data_dir))
    wanted = NodeSettings(data_dir=data_dir, roles=(WORKER,), **given(args))
    up.refuse([checks.root(), *checks.programs(), *checks.ports(wanted)])  # the ranges are the cluster's to name
    node = asyncio.run(joining.join(data_dir, args.address, token, given(args)))
    settings.remember(node)
    daemon.start(node)
    asyncio.run(daemon.wait_ready(node, limit_s=args.timeout, since=since))
    seconds = time.monotonic() - began_at
    if args.output == "json":
        output.data({"ready": True, "seconds": round(seconds, 3), "node": node.node_name, "apiServer": node.api_servers[0]})
    else:
        output.line(f"node {node.node_name} has joined the cluster of {node.api_servers[0]} and is Ready after {seconds:.2f} s")
    return 0
