"""Tokens that let a machine join this cluster. Whoever has one can become any node until it ends.

examples:
  wherry token create
  wherry token create --ttl 1h
  wherry token list
  wherry token delete abcdef
"""

import argparse
import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry.assembly import settings, tokens
from wherry.assembly.address import node_address
from wherry.assembly.builds import admin_client
from wherry.assembly.node import NodeSettings
from wherry.cli import output
from wherry.kit.errors import Invalid

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="create | list | delete")
    create = actions.add_parser("create", help="a new token, and the command to join with it")
    create.add_argument("--ttl", default="24h", help="how long it holds, such as 30m, 24h or 7d (default 24h)")
    listed = actions.add_parser("list", help="the tokens there are and when they end")
    delete = actions.add_parser("delete", help="end a token now")
    delete.add_argument("id", help="its first six characters")
    for one in (create, listed, delete):
        one.add_argument("-o", "--output", choices=["text", "json"], default="text")


def span(text: str) -> timedelta:
    """`30m` and the like. Raise `Invalid`."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise Invalid(f"--ttl: {text!r} is no span of time; give a number and s, m, h or d, such as 24h")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def run(args: argparse.Namespace) -> int:
    """0."""
    return asyncio.run(_run(settings.load_of_server(args.data_dir), args))


async def _run(node: NodeSettings, args: argparse.Namespace) -> int:
    client = admin_client(node)
    try:
        if args.action == "create":
            return await _create(client, node, args)
        if args.action == "delete":
            await tokens.delete(client, args.id)
            output.line(f"token {args.id} deleted")
            return 0
        found = await tokens.listed(client)
    finally:
        await client.close()
    if args.output == "json":
        output.data([{"id": token_id, "expires": expires} for token_id, expires in found])
    else:
        output.table(("ID", "EXPIRES"), found)
    return 0


async def _create(client: Any, node: NodeSettings, args: argparse.Namespace) -> int:
    made = await tokens.create(client, (node.authority_dir / "ca.crt").read_bytes(), datetime.now(UTC), span(args.ttl))
    api = f"{node_address(node)}:{node.api_port}"
    if args.output == "json":
        output.data({"token": str(made), "id": made.id, "address": api})
        return 0
    output.line(f"on the machine that joins, as root:\n  wherry join {api} --token {made}")
    return 0
