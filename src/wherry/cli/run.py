"""Run one of the node's processes until it is told to stop. Started by the supervisor, not by people."""

import argparse
import asyncio
import logging
import sys

from wherry.assembly import private, settings, supervisor
from wherry.assembly.components import PROCESSES
from wherry.infrastructure.linux import processes

ALREADY_RUNNING = 4
LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", choices=["supervisor", *PROCESSES])


def run(args: argparse.Namespace) -> int:
    """0 after TERM; 4 when the process already runs; 5 when its data is damaged."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=LOG_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S",
    )  # fmt: skip
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, must not become a stack trace in it
    cluster = settings.load(args.data_dir)
    private.make_private(cluster)
    lock = supervisor.hold(supervisor.lock_path(cluster, args.process))
    if lock is None:
        return ALREADY_RUNNING
    if not processes.protect_from_oom(cluster.oom_score_adj):
        logging.getLogger(__name__).warning("oom_score_adj %d not set: no right to", cluster.oom_score_adj)
    if args.process == "supervisor":
        asyncio.run(supervisor.supervise(cluster))
        return 0
    from wherry.assembly import process

    return process.run(cluster, args.process)
