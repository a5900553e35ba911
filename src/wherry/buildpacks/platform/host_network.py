"""The network of build containers: the machine's own, so that a build reaches what the user reaches.

Made like `SandboxNetwork` for the engine, but it has no addresses to give and no rules to load.
"""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.kit.errors import Unsupported


class HostNetwork(SandboxNetwork):
    """Sandboxes on the machine's own network only."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(NetworkSettings("build", run_dir / "network.json"))

    async def restore(self, live_ids: Collection[str]) -> None:
        pass

    async def attach(self, id: str, netns_path: str, port_mappings: Sequence[PortForward] = ()) -> IPv4Address:
        raise Unsupported("a build container has no network of its own")

    async def detach(self, id: str) -> None:
        pass

    async def teardown(self) -> None:
        pass
