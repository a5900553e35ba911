"""Join a cluster: from an address and a token to a node's settings and identity on this machine's disk.

In:    host[:port] of an API server; a token (`wherry token create` prints it): id, secret, pin of the CA.
Out:   the CA certificate, checked against the pin before anything is sent; the node's client certificate, signed by the cluster;
       `node.json` and `cluster.json`, written last. Killed half-way, it begins anew.
Spec:  kubeadm join: TLS bootstrap with a bootstrap token and --discovery-token-ca-cert-hash (SHA-256 of the CA's public key).
"""

import asyncio
import hashlib
import json
import re
import socket
import ssl
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from wherry.assembly import checks, cluster, components, node, rotation, settings
from wherry.assembly.certify import certify, self_signed
from wherry.assembly.cluster import CONFIG_KEY, CONFIG_NAME, CONFIG_NAMESPACE, ClusterSettings
from wherry.assembly.identity import client, identity
from wherry.assembly.node import SERVER_NAME, WORKER, NodeSettings
from wherry.assembly.private import make_private
from wherry.kit import atomic_file
from wherry.kit.errors import AlreadyExists, Forbidden, Invalid, NotFound, Unavailable
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.errors import Unauthorized
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, NODES
from wherry.orchestration.objects.meta import condition_of

API_PORT = 6443
CONNECT_S = 10.0
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Token:
    """A bootstrap token and the pin of the CA that its cluster has."""

    id: str
    secret: str = field(repr=False)
    ca_hash: str

    @property
    def bearer(self) -> str:
        """What the API server takes."""
        return f"{self.id}.{self.secret}"

    def __str__(self) -> str:
        return f"{self.bearer}.{self.ca_hash}"


def parse(text: str) -> Token:
    """Raise `Invalid` without repeating the secret."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise Invalid("--token: not of the form ID.SECRET.CAHASH; make one on the server's machine with: wherry token create")
    return Token(*found.groups())


def pin(ca_pem: bytes) -> str:
    """SHA-256 of the public key of a CA certificate (SubjectPublicKeyInfo), hex, as kubeadm pins it."""
    key = x509.load_pem_x509_certificate(ca_pem).public_key()
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def address_of(text: str) -> tuple[str, int]:
    """host and port of `host[:port]`."""
    plain = text.removeprefix("https://").rstrip("/")
    host, _, port = plain.rpartition(":") if ":" in plain else (plain, "", str(API_PORT))
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Invalid(f"{text!r} is no address of an API server; give HOST or HOST:PORT")
    return host, int(port)


def fetch_ca(host: str, port: int, ca_hash: str) -> bytes:
    """The CA certificate that the server shows, once its key has the hash. Nothing is sent before.

    Raise `Unavailable` when nobody answers, `Forbidden` when it is another cluster or somebody in between."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin decides, below
    try:
        with (
            socket.create_connection((host, port), CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=SERVER_NAME) as tls,
        ):
            # Public from Python 3.13 on as `SSLSocket.get_unverified_chain`.
            chain = [str(one.public_bytes()).encode() for one in tls._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]
    except OSError as error:
        raise Unavailable(f"no API server at {host}:{port} ({error}); see that it runs and that no firewall is between") from error
    for pem in chain:
        if pin(pem) == ca_hash:
            return pem
    raise Forbidden(f"{host}:{port} does not show the CA that the token names: it is another cluster, or somebody is in between")


async def join(data_dir: Path, api: str, token: Token, given: dict[str, Any]) -> NodeSettings:
    """Everything but the start of the processes."""
    host, port = address_of(api)
    if settings.exists(data_dir):
        raise AlreadyExists(f"{data_dir} has a cluster: bring it back with wherry up, or remove it with wherry down --purge")
    own = {"node_address": _source_address(host, port), **given}
    made = NodeSettings(data_dir=data_dir, roles=(WORKER,), api_servers=(f"{host}:{port}",), **own)
    node.check(made)
    components.check(made)
    ca = await asyncio.to_thread(fetch_ca, host, port, token.ca_hash)
    bootstrap = client(HttpTransport(made.api_url, ca=ca, token=token.bearer, server_name=SERVER_NAME), "join")
    try:
        made = replace(made, cluster=await _shared(bootstrap))
        await _refuse_taken_name(bootstrap, made)
        _refuse_taken_ranges(made)
        make_private(made)
        mine = identity(made, "node")
        made.identity_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic_file.write(mine.ca, ca, mode=0o644)
        certificates = rotation.wanted(made)
        await certify(bootstrap, certificates["node"], mine.pair)
        self_signed(certificates["node-serving"], identity(made, "node-serving").pair, datetime.now(UTC))
    finally:
        await bootstrap.close()
    settings.save(made)
    return made


async def _shared(bootstrap: Client) -> ClusterSettings:
    try:
        found = await bootstrap.get(CONFIG_MAPS, CONFIG_NAME, CONFIG_NAMESPACE)
    except Unauthorized as error:
        raise Forbidden("the token is not accepted: it has ended, was deleted or is of another cluster") from error
    except NotFound as error:
        wanted = f"{CONFIG_NAMESPACE}/{CONFIG_NAME}"
        raise Unavailable(f"the cluster has no ConfigMap {wanted} yet; is its server of this version?") from error
    try:
        raw = json.loads(found["data"][CONFIG_KEY])
        shared = ClusterSettings(**{one.name: raw[one.name] for one in fields(ClusterSettings) if one.name in raw})
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"ConfigMap {CONFIG_NAMESPACE}/{CONFIG_NAME}: {CONFIG_KEY} cannot be read: {error}") from error
    cluster.check(shared)
    return shared


async def _refuse_taken_name(bootstrap: Client, made: NodeSettings) -> None:
    try:
        found = await bootstrap.get(NODES, made.node_name)
    except NotFound:
        return
    ready = condition_of((found.get("status") or {}).get("conditions") or [], "Ready")
    if ready is not None and ready["status"] == "True":
        raise AlreadyExists(
            f"a Node with name {made.node_name!r} and status \"Ready\" already exists in the cluster. You must delete the existing "
            "Node or change the name of this one with --node-name"
        )


def _refuse_taken_ranges(made: NodeSettings) -> None:
    taken = [f"{found.check}: {found.detail}" for found in checks.ranges(made) if not found.ok]
    if taken:
        raise Invalid(f"the cluster's ranges lead elsewhere on this machine ({'; '.join(taken)}): take those routes away first")


def _source_address(host: str, port: int) -> str:
    """The address of this machine that packets to the server leave by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))
        except OSError as error:
            raise Unavailable(f"no way from this machine to {host} ({error})") from error
        return str(probe.getsockname()[0])
