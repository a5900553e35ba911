"""The cluster's keys and certificates on disk: created once, loaded after, renewed when they near their end.

In:    a folder; the names and addresses the API server and this node answer to; optionally a second folder for identities.
Out:   `Authority`. Layout: `ca.crt ca.key front-proxy-ca.crt front-proxy-ca.key sa.key encryption.key` and one
       `<who>.pem` a leaf, certificate and key in one file so that the pair is replaced in one rename. All 0600 but
       the two `.crt`. The leaves of `IDENTITIES`, and a copy of `ca.crt`, lie in the second folder: whoever has only that
       one can prove to be this node or its gateway and can sign nothing.
Spec:  https://kubernetes.io/docs/setup/best-practices/certificates/
Cost:  see README.
Refuses: an authority whose key is missing or belongs to another certificate (`Broken`): making a new one would
       silently cut off every credential in use.

Service-account tokens are signed with ES256, where upstream's set-up tools choose RS256: both are accepted by
every verifier of Kubernetes tokens, a P-256 key is made in 0.1 ms (RSA 2048: 60 to 300 ms of a 1 s start), and
signing is 20 times faster. Keys of both kinds are read.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from wherry.kit import atomic_file
from wherry.kit.errors import Broken
from wherry.kit.http.tls import server_context
from wherry.orchestration.apiserver.pki.certificates import (
    CLIENT,
    SERVER,
    CertificateAuthority,
    LeafRequest,
    create_authority,
    issue,
    load_authority,
    needs_renewal,
    private_pem,
    split_leaf,
)
from wherry.orchestration.apiserver.pki.kubeconfig import document
from wherry.orchestration.apiserver.user import MASTERS, NODE_PREFIX, NODES

APISERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
ENCRYPTION_KEY_BYTES = 32
FRONT_PROXY_CLIENT = "front-proxy-client"
IDENTITIES = frozenset({"node", "node-serving", "gateway"})


@dataclass(frozen=True)
class Authority:
    """What `ensure` made or found. `leaf(who)` for who in: apiserver, kubelet-client, admin, controller-manager,
    scheduler, node, node-serving, gateway, front-proxy-client."""

    folder: Path
    identities: Path
    ca: CertificateAuthority = field(repr=False)
    front_proxy_ca: CertificateAuthority = field(repr=False)
    encryption_key: bytes = field(repr=False)
    account_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)

    @property
    def ca_file(self) -> Path:
        """The cluster's CA certificate, PEM."""
        return self.folder / "ca.crt"

    @cached_property
    def ca_pem(self) -> bytes:
        """The bytes of `ca_file`: what goes into kube-root-ca.crt and kubeconfigs."""
        return self.ca.certificate_pem

    def leaf_file(self, who: str) -> Path:
        """Certificate and key of `who` in one PEM file, as `ssl.SSLContext.load_cert_chain` takes it."""
        return (self.identities if who in IDENTITIES else self.folder) / f"{who}.pem"

    def leaf(self, who: str) -> tuple[bytes, bytes]:
        """(certificate, key) of `who`, PEM."""
        return split_leaf(self.leaf_file(who).read_bytes())

    def kubeconfig(self, who: str, server: str, *, name: str = "wherry") -> dict[str, Any]:
        """A kubeconfig document for `who`, everything inline."""
        certificate, key = self.leaf(who)
        return document(server, ca_pem=self.ca_pem, certificate_pem=certificate, key_pem=key, name=name, user=f"{name}-{who}")

    def authentication_config_map(self) -> dict[str, Any]:
        """ConfigMap kube-system/extension-apiserver-authentication: what aggregated API servers trust."""
        return {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": {
                "client-ca-file": self.ca_pem.decode(),
                "requestheader-client-ca-file": self.front_proxy_ca.certificate_pem.decode(),
                "requestheader-allowed-names": f'["{FRONT_PROXY_CLIENT}"]',
                "requestheader-username-headers": '["X-Remote-User"]',
                "requestheader-uid-headers": '["X-Remote-Uid"]',
                "requestheader-group-headers": '["X-Remote-Group"]',
                "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            },
        }

    def server_tls(self, who: str) -> ssl.SSLContext:
        """For a listener that is `who`."""
        return server_context(self.leaf_file(who), self.ca_file)

    def client_tls(self, who: str) -> ssl.SSLContext:
        """TLS for a client that proves to be `who` and trusts this cluster only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca_file)
        context.load_cert_chain(self.leaf_file(who))
        return context


def ensure(
    folder: Path,
    *,
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    node_name: str,
    now: datetime,
    cluster_domain: str = "cluster.local",
    identities: Path | None = None,
) -> Authority:
    """Create what is missing, renew what nears its end or is for other names, and return it all."""
    for path in (folder, identities or folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    writes: dict[str, bytes] = {}
    pki = Authority(
        folder=folder,
        identities=identities or folder,
        ca=_authority(folder, "ca", "kubernetes", now, writes),
        front_proxy_ca=_authority(folder, "front-proxy-ca", "front-proxy-ca", now, writes),
        encryption_key=_encryption_key(folder, writes),
        account_key=_account_key(folder, writes),
    )
    leaves: dict[Path, bytes] = {}
    for who, request in _leaves(names, addresses, node_name, cluster_domain).items():
        signer = pki.front_proxy_ca if who == FRONT_PROXY_CLIENT else pki.ca
        file = pki.leaf_file(who)
        if not file.exists() or needs_renewal(file.read_bytes(), signer, request, now):
            leaves[file] = issue(signer, request, now)
    _write_all({folder / name: data for name, data in writes.items()} | leaves)
    if identities is not None:
        for who in IDENTITIES:
            (folder / f"{who}.pem").unlink(missing_ok=True)  # where they lay before they had a folder of their own
        copy = identities / pki.ca_file.name
        if not copy.exists() or copy.read_bytes() != pki.ca_pem:
            _write_all({copy: pki.ca_pem})
    return pki


def _leaves(
    names: Sequence[str], addresses: Sequence[str], node_name: str, cluster_domain: str
) -> dict[str, LeafRequest]:
    server_names = (*APISERVER_NAMES, f"kubernetes.default.svc.{cluster_domain}", node_name, *names)
    ips = _unique(("127.0.0.1", "::1", *addresses))
    node = f"{NODE_PREFIX}{node_name}"
    return {
        "apiserver": LeafRequest("kube-apiserver", names=_unique(server_names), addresses=ips, usages=(SERVER,)),
        "kubelet-client": LeafRequest("kube-apiserver-kubelet-client", (MASTERS,)),
        "admin": LeafRequest("kubernetes-admin", (MASTERS,)),
        "controller-manager": LeafRequest("system:kube-controller-manager"),
        "scheduler": LeafRequest("system:kube-scheduler"),
        "node": LeafRequest(node, (NODES,)),
        "node-serving": LeafRequest(
            node, (NODES,), names=_unique((node_name, "localhost", *names)), addresses=ips, usages=(SERVER, CLIENT)
        ),
        "gateway": LeafRequest("system:wherry:gateway"),
        FRONT_PROXY_CLIENT: LeafRequest(FRONT_PROXY_CLIENT),
    }


def _authority(folder: Path, stem: str, common_name: str, now: datetime, writes: dict[str, bytes]) -> CertificateAuthority:
    certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    if certificate.exists():
        if not key.exists():
            raise Broken(f"{certificate} is there and {key} is not: bring the key back from a backup")
        return load_authority(certificate.read_bytes(), key.read_bytes())
    made = create_authority(common_name, now)
    # The certificate is renamed into place after its key: a key alone is of a creation cut short, and is replaced.
    writes[key.name] = made.key_pem
    writes[certificate.name] = made.certificate_pem
    return made


def _encryption_key(folder: Path, writes: dict[str, bytes]) -> bytes:
    file = folder / "encryption.key"
    if file.exists():
        key = file.read_bytes()
        if len(key) != ENCRYPTION_KEY_BYTES:
            raise Broken(f"{file} has {len(key)} bytes, not {ENCRYPTION_KEY_BYTES}: bring it back from a backup")
        return key
    writes[file.name] = os.urandom(ENCRYPTION_KEY_BYTES)
    return writes[file.name]


def _account_key(folder: Path, writes: dict[str, bytes]) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    file = folder / "sa.key"
    if not file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        writes[file.name] = private_pem(made)
        return made
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except ValueError as error:
        raise Broken(f"{file} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Broken(f"{file} is neither an EC nor an RSA key")
    return key


def _write_all(writes: dict[Path, bytes]) -> None:
    for path, data in writes.items():
        atomic_file.write(path, data, mode=0o644 if path.suffix == ".crt" else 0o600)


def _unique(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
