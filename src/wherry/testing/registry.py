"""A registry for tests: ours over a content folder, on a free port of loopback.

In:    a content folder.
Out:   `async with serving(content) as host:` with `host` such as 127.0.0.1:34567.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from wherry.container.content.content import Content
from wherry.container.registry.client import RegistryClient
from wherry.container.registry.server import Registry
from wherry.container.registry.settings import ClientSettings, RegistrySettings
from wherry.kit.http.server import serve

DOMAIN = "registry.test:5050"


@asynccontextmanager
async def serving(content: Content, *, password_file: Path | None = None, domain: str = DOMAIN) -> AsyncIterator[str]:
    """Serve `content`; images are stored there as `<domain>/<path>`."""
    registry = Registry(content, RegistrySettings(domain=domain, password_file=password_file))
    async with serve(registry.handle, host="127.0.0.1", port=0) as server:
        yield f"127.0.0.1:{server.port}"


def client_for(*hosts: str) -> RegistryClient:
    """A client that reads no configuration of the machine and speaks plain HTTP to `hosts`."""
    return RegistryClient(ClientSettings(hosts_dirs=(), docker_config=None, insecure=hosts))
