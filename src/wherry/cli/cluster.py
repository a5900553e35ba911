"""The clusters of this machine.

examples:
  wherry cluster list
  wherry cluster list -o json
"""

import argparse

from wherry.assembly import daemon, settings
from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list")
    listed = actions.add_parser("list", help="every cluster that was made here and is not purged")
    listed.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0."""
    found = [
        {"context": one.cluster.name, "dataDir": str(one.data_dir), "running": daemon.is_running(one), "apiPort": one.api_port}
        for one in settings.known(args.data_dir)
    ]
    if args.output == "json":
        output.data(found)
        return 0
    rows = [(str(o["context"]), "running" if o["running"] else "stopped", str(o["apiPort"]), str(o["dataDir"])) for o in found]
    output.table(("CONTEXT", "STATE", "API PORT", "DATA DIR"), rows)
    return 0
