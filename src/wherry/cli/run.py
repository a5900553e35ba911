"""Run one component in this process until it is told to stop. Started by the supervisor, not by people."""

import argparse
import asyncio
import logging
import sys

from wherry.assembly import settings, supervisor

ALREADY_RUNNING = 4
LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("component", choices=["supervisor", *supervisor.COMPONENTS])


def run(args: argparse.Namespace) -> int:
    """0 after TERM; 4 when the component already runs; 5 when its data is damaged."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=LOG_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S",
    )  # fmt: skip
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, must not become a stack trace in it
    cluster = settings.load(args.data_dir)
    lock = supervisor.hold(supervisor.lock_path(cluster, args.component))
    if lock is None:
        return ALREADY_RUNNING
    if args.component == "supervisor":
        asyncio.run(supervisor.supervise(cluster))
        return 0
    from wherry.assembly import process

    return process.run(cluster, args.component)
