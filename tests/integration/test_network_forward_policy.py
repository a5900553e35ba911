"""Beside a firewall that drops forwarded packets, ours are let through and nothing of it stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.infrastructure.linux import namespaces

pytestmark = pytest.mark.node

# Runs in a network namespace of its own: the machine's own table `ip filter` is not touched.
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from wherry.infrastructure.network import forward_policy, nft
from wherry.infrastructure.network.settings import NetworkSettings

async def main():
    settings = NetworkSettings("fwd", Path("/nowhere"))
    seen = []
    await forward_policy.open_for(settings)
    seen.append(await nft.list_table("filter"))
    await nft.load("table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    for _ in range(2):
        await forward_policy.open_for(settings)
    seen.append(await nft.list_chain("filter", "FORWARD"))
    for _ in range(2):
        await forward_policy.close_for(settings)
    seen.append(await nft.list_chain("filter", "FORWARD"))
    print(json.dumps(seen))

asyncio.run(main())
"""


def test_rules_come_once_and_go(tmp_path: Path) -> None:
    path = str(tmp_path / "net")
    namespaces.create({"net": path})
    try:
        ran = subprocess.run(
            ["nsenter", f"--net={path}", sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
        )
    finally:
        namespaces.drop(path)
    absent, opened, closed = json.loads(ran.stdout)
    assert absent == ""
    assert opened.count("wherry-fwd-net") == 2 and opened.count("accept") == 2
    assert "wherry-fwd-net" not in closed and "policy drop" in closed
