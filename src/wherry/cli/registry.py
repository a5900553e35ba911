"""How to reach the cluster's image registry: address, user, password, CA.

What is pushed there is on the node at once. On this machine any client works with what this prints, for example
skopeo, docker or podman.

examples:
  wherry registry
  wherry registry -o json
  wherry registry --list
"""

import argparse
import asyncio

from wherry.assembly import settings
from wherry.assembly.images import USER, open_images, password_file
from wherry.assembly.node import NodeSettings
from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="the images in it")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when there is a cluster."""
    cluster = settings.load(args.data_dir)
    if args.list:
        return _list(cluster, args.output)
    found = {
        "address": f"127.0.0.1:{cluster.registry_port}",
        "name": cluster.registry_host,
        "username": USER,
        "passwordFile": str(password_file(cluster)),
        "ca": str(cluster.identity_dir / "ca.crt"),
    }
    if args.output == "json":
        output.data(found)
        return 0
    for name, value in found.items():
        output.line(f"{name:13}{value}")
    output.line(f"\nimages pushed to {found['address']}/NAME:TAG are {cluster.registry_host}/NAME:TAG in manifests")
    return 0


def _list(cluster: NodeSettings, form: str) -> int:
    images = asyncio.run(open_images(cluster).service.images())
    if form == "json":
        output.data([{"id": i.id, "tags": i.tags, "sizeBytes": i.size_bytes} for i in images])
        return 0
    rows = [(tag, i.id[7:19], f"{i.size_bytes / 1024**2:.1f} MiB") for i in images for tag in i.tags]
    output.table(("IMAGE", "ID", "SIZE"), sorted(rows))
    return 0
