"""What the registry client and the registry server are told, with their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How registries are reached. All times in seconds.

    `addresses` sends requests for a registry name to another host:port without asking DNS (the own registry has no
    DNS name). Registries on loopback addresses are tried by HTTPS and then by plain HTTP, as Docker does; all others
    in plain HTTP only when listed in `insecure`.
    """

    hosts_dirs: tuple[Path, ...] = (Path("/etc/containerd/certs.d"), Path("/etc/docker/certs.d"))
    docker_config: Path | None = field(default_factory=lambda: Path.home() / ".docker" / "config.json")
    ca_files: Mapping[str, Path] = field(default_factory=dict)  # by registry host, besides the system's authorities
    insecure: tuple[str, ...] = ()  # registry hosts that speak plain HTTP
    addresses: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    connect_timeout_s: float = 15.0
    silence_timeout_s: float = 60.0  # no byte for this long: the transfer is broken off and tried again
    tries_max: int = 4
    redirects_max: int = 10
    retry_after_s_max: float = 30.0


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """The registry that serves a content folder. `domain` is the name its images are stored under."""

    domain: str
    username: str = "wherry"
    password_file: Path | None = None  # None: everybody may do everything, for tests on loopback
    page_max: int = 1000  # tags or repositories in one answer
    uploads_max: int = 1000  # unfinished at a time; 429 past it
    blob_bytes_max: int = 64 << 30
