"""Stop the cluster: its containers (asked kindly first), its processes, and everything it holds on this machine.

The data stays and `wherry up` continues from it, unless --purge removes it too.

examples:
  wherry down
  wherry down --purge
"""

import argparse
import asyncio
import os
import shutil
from pathlib import Path

from wherry.assembly import daemon, settings, start
from wherry.assembly.node import NodeSettings
from wherry.cli import output
from wherry.kit.errors import Invalid


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--purge", action="store_true", help="remove all data of the cluster and its kubeconfig context")
    parser.add_argument("--kubeconfig", help="the file the context is removed from (default $KUBECONFIG or ~/.kube/config)")


def run(args: argparse.Namespace) -> int:
    """0 when nothing of the cluster runs any more; also when there was none."""
    if not settings.exists(args.data_dir):
        output.line(f"no cluster in {args.data_dir}")
        return 0
    cluster = _settings(args)
    with output.Step("stopping the control plane"):
        daemon.stop(cluster)
    with output.Step("stopping containers, unmounting, removing links and tables"):
        from wherry.assembly import teardown

        asyncio.run(teardown.teardown(cluster, grace_s=teardown.PURGE_GRACE_S if args.purge else teardown.STOP_GRACE_S))
    shutil.rmtree(cluster.run_dir, ignore_errors=True)
    if args.purge:
        with output.Step(f"removing {cluster.data_dir}"):
            start.forget_context(cluster, kubeconfig=args.kubeconfig)
            teardown.remove_logs(cluster)
            shutil.rmtree(cluster.data_dir)
            settings.forget(cluster)
    output.line("down" + (", and nothing is left" if args.purge else f"; the data is kept in {cluster.data_dir}"))
    return 0


def _settings(args: argparse.Namespace) -> NodeSettings:
    """Names of links, tables and folders follow from the data dir alone, so that damaged settings can be purged too."""
    try:
        return settings.load(args.data_dir)
    except Invalid:
        if not args.purge:
            raise
        return NodeSettings(data_dir=Path(os.path.abspath(args.data_dir)))
