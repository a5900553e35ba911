"""Where to ask for a registry's content: the registry itself, and the mirrors that `hosts.toml` files name.

In:    a registry's name, settings.
Out:   `Endpoint`s in the order to try.
Spec:  https://github.com/containerd/containerd/blob/main/docs/hosts.md : `server`, `[host."url"]`
       with capabilities, ca, client, skip_verify, override_path, header.
Never: makes connections.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wherry.container.registry.settings import ClientSettings
from wherry.kit.errors import Invalid

DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"
ALL = frozenset(("pull", "resolve", "push"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. `base` ends before `/<name>/manifests/...`; `namespace` is set for mirrors (sent as `?ns=`)."""

    base: str
    can: frozenset[str] = ALL
    namespace: str = ""
    ca: tuple[Path, ...] = ()
    client: tuple[tuple[Path, Path | None], ...] = ()
    skip_verify: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host and port as in the URL: what credentials are kept by."""
        return urlsplit(self.base).netloc


def endpoints(domain: str, settings: ClientSettings) -> tuple[Endpoint, ...]:
    """Mirrors first, the registry itself last. Raise `Invalid` for a broken hosts.toml."""
    own = _own(domain, settings)
    for folder in settings.hosts_dirs:
        for name in (domain, domain.replace(":", "_") + "_" if ":" in domain else domain, "_default"):
            file = folder / name / "hosts.toml"
            if file.is_file():
                return _from_file(file, domain, own)
    return own


def is_loopback(domain: str) -> bool:
    """Whether a registry's name means this machine."""
    host = urlsplit(f"//{domain}").hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _own(domain: str, settings: ClientSettings) -> tuple[Endpoint, ...]:
    host = DOCKER_HUB_HOST if domain == DOCKER_HUB else domain
    ca = (settings.ca_files[domain],) if domain in settings.ca_files else ()
    if domain in settings.insecure:
        return (Endpoint(f"http://{host}/v2"),)
    secure = Endpoint(f"https://{host}/v2", ca=ca)
    if is_loopback(domain):
        return (secure, Endpoint(f"http://{host}/v2"))
    return (secure,)


def _from_file(file: Path, domain: str, own: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    try:
        document = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: {error}") from error
    mirrors = [_mirror(file, url, table, domain) for url, table in document.get("host", {}).items()]
    server = document.get("server")
    if isinstance(server, str) and server:
        own = (_mirror(file, server, document, domain, is_server=True),)
    return (*mirrors, *own)


def _mirror(file: Path, url: str, table: Mapping[str, Any], domain: str, *, is_server: bool = False) -> Endpoint:
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Invalid(f"{file}: {url!r} is not an http or https address")
    path = parts.path.rstrip("/")
    if not table.get("override_path"):
        path = path if path.endswith("/v2") else f"{path}/v2"
    headers = {name: value if isinstance(value, str) else ",".join(value) for name, value in table.get("header", {}).items()}
    return Endpoint(
        f"{parts.scheme}://{parts.netloc}{path}", frozenset(table.get("capabilities", ALL)), "" if is_server else domain,
        tuple(file.parent / one for one in _texts(table.get("ca"))), tuple(_client(file, table.get("client"))),
        bool(table.get("skip_verify")), headers,
    )  # fmt: skip


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def _client(file: Path, value: object) -> list[tuple[Path, Path | None]]:
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    found: list[tuple[Path, Path | None]] = []
    for item in items:
        pair = [item] if isinstance(item, str) else list(item)
        found.append((file.parent / pair[0], file.parent / pair[1] if len(pair) > 1 else None))
    return found
