"""Copy the cluster's state, list the copies, or go back to one.

The server makes a copy of the store by itself every few hours, in <data dir>/backups. Secrets in a copy open only with the
keys of the same cluster: keep <data dir>/pki too, in another safe place.

examples:
  wherry backup store                       a copy now, beside the automatic ones
  wherry backup store --to /mnt/usb/wherry.db
  wherry backup list
  wherry backup restore                     from the newest copy; the cluster must be down
  wherry backup restore --from /mnt/usb/wherry.db
"""

import argparse
from pathlib import Path

from wherry.assembly import backups, settings
from wherry.assembly.node import NodeSettings
from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="store | list | restore")
    store = actions.add_parser("store", help="copy the store, also while the cluster runs")
    store.add_argument("--to", type=Path, help="the file to write (default a new one in <data dir>/backups)")
    actions.add_parser("list", help="the copies in <data dir>/backups")
    restore = actions.add_parser("restore", help="put a copy in the place of the store; the former one is kept beside it")
    restore.add_argument("--from", type=Path, dest="source", help="the copy (default the newest in <data dir>/backups)")
    for action in actions.choices.values():
        action.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when done."""
    cluster = settings.load_of_server(args.data_dir)
    done = {"store": _store, "list": _list, "restore": _restore}[args.action](args, cluster)
    if args.output == "json":
        output.data(done)
    return 0


def _store(args: argparse.Namespace, cluster: NodeSettings) -> dict[str, object]:
    target = backups.make(cluster, args.to)
    size = target.stat().st_size
    if args.output == "text":
        output.line(f"{target}: {size / 1024:.0f} KiB, checked")
        output.line(f"its Secrets open only with the keys in {cluster.authority_dir}: keep a copy of that folder too")
    return {"path": str(target), "sizeBytes": size}


def _list(args: argparse.Namespace, cluster: NodeSettings) -> list[dict[str, object]]:
    found = backups.kept(cluster)
    if args.output == "text":
        output.table(
            ("MADE", "KIB", "FILE"), [(b.made_at.isoformat(), str(b.size_bytes // 1024), str(b.path)) for b in found]
        )
    return [{"path": str(b.path), "madeAt": b.made_at.isoformat(), "sizeBytes": b.size_bytes} for b in found]


def _restore(args: argparse.Namespace, cluster: NodeSettings) -> dict[str, object]:
    source, former = backups.go_back(cluster, args.source)
    if args.output == "text":
        output.line(f"{cluster.database} is now the copy {source}")
        if former:
            output.line(f"what was there before is kept as {former}")
        output.line("go on with: wherry up")
    return {"path": str(cluster.database), "from": str(source), "former": str(former) if former else None}
