"""What a process that is not the server proves itself with: one certificate, the CA of its cluster, where the API is.

In:    the node's settings; files that the server, or the node's own rotation, writes.
Out:   `Identity`; certificates taken up while the process runs.
Never: opens a folder of signing keys.
"""

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.assembly.node import SERVER_NAME, NodeSettings
from wherry.kit.clock import Clock
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
        """TLS for a listener that reads client certificates of this cluster, and also lets in those without one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.pair)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context


def identity(settings: NodeSettings, who: str) -> Identity:
    """`who` is node, node-serving or gateway."""
    return Identity(who, settings.identity_dir / f"{who}.pem", settings.identity_dir / "ca.crt", settings.api_url)


def client(transport: HttpTransport, name: str) -> Client:
    """A client whose requests say which part of Wherry sends them."""
    return Client(transport, user_agent=f"wherry/{name}")


async def keep_taken_up(uses: Sequence[tuple[Identity, Use]], clock: Clock) -> None:
    """Hand each identity's file to its `Use` now and whenever it was replaced. Runs until cancelled.

    The first look hands all over: it may have been renewed between its loading and this call."""
    seen: dict[Path, tuple[int, int]] = {}
    while True:
        for one, use in uses:
            found = one.pair.stat()
            mark = (found.st_ino, found.st_mtime_ns)
            if seen.get(one.pair) != mark:
                use(one.pair)
                if one.pair in seen:
                    log.info("certificate of %s renewed", one.who)
                seen[one.pair] = mark
        await clock.sleep(LOOK_S)
