"""What a process that is not the server proves itself with: one certificate, the CA of its cluster, where the API is.

In:    the node's settings; files that the server, or the node's own rotation, writes.
Out:   `Identity`; certificates taken up while the process runs.
Never: opens a folder of signing keys.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wherry.assembly.node import SERVER_NAME, NodeSettings
from wherry.kit.http.tls import server_context
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport

LOOK_S = 20.0  # a look is one stat a file; who replaces a certificate in its last minute is still heard

log = logging.getLogger(__name__)

Use = Callable[[Path], object]  # takes up the certificate and key of a file, as `ssl.SSLContext.load_cert_chain` does


@dataclass(frozen=True, slots=True)
class Identity:
    """`pair`: certificate and key in one PEM file. `ca`: PEM. `who` is for logs."""

    who: str
    pair: Path
    ca: Path
    api_url: str

    def transport(self) -> HttpTransport:
        """To the API server, as this identity."""
        return HttpTransport(self.api_url, ca=str(self.ca), cert=str(self.pair), key=str(self.pair), server_name=SERVER_NAME)

    def server_tls(self) -> ssl.SSLContext:
        """For a listener of this node."""
        return server_context(self.pair, self.ca)


def identity(settings: NodeSettings, who: str) -> Identity:
    """`who` is node, node-serving or gateway."""
    return Identity(who, settings.identity_dir / f"{who}.pem", settings.identity_dir / "ca.crt", settings.api_url)


def client(transport: HttpTransport, name: str) -> Client:
    """A client whose requests say which part of Wherry sends them."""
    return Client(transport, user_agent=f"wherry/{name}")


async def keep_taken_up(own: Identity, use: Use) -> None:
    """Hand the identity's file to `use` now and whenever it was replaced. Runs until cancelled.

    The first look hands it over too: it may have been renewed between its loading and this call."""
    seen: tuple[int, int] | None = None
    while True:
        found = own.pair.stat()
        mark = (found.st_ino, found.st_mtime_ns)
        if mark != seen:
            use(own.pair)
            if seen is not None:
                log.info("certificate of %s renewed", own.who)
            seen = mark
        await asyncio.sleep(LOOK_S)
