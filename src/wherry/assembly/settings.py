"""The settings of a data dir: chosen at the first `wherry up` or at `wherry join`, kept there, the same ever after.

In:    a data dir, flags.
Out:   `NodeSettings` with the `ClusterSettings` it knows; `node.json` and `cluster.json` in the data dir.
Never: starts or changes anything but these files and the machine's list of clusters.
"""

import contextlib
import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from wherry.assembly import cluster, components, node
from wherry.assembly.cluster import ClusterSettings
from wherry.assembly.node import GATEWAY, NodeSettings
from wherry.kit import atomic_file
from wherry.kit.errors import Invalid

DEFAULT_DATA_DIR = Path("/var/lib/wherry")
KNOWN_DIR = Path("/var/lib/wherry-clusters")  # a link to the data dir of each cluster, by its id
CLUSTER_FILE, NODE_FILE = "cluster.json", "node.json"
OF_CLUSTER = frozenset(f.name for f in fields(ClusterSettings))
OF_NODE = frozenset(f.name for f in fields(NodeSettings)) - {"data_dir", "cluster"}


def default_data_dir() -> Path:
    """Where a cluster is when no --data-dir says so: $WHERRY_DATA_DIR, else /var/lib/wherry."""
    return Path(os.environ.get("WHERRY_DATA_DIR") or DEFAULT_DATA_DIR)


def data_dir_flag(settings: NodeSettings) -> str:
    """What a command needs behind it to mean this cluster, with a space before it; "" when it is the default one."""
    return "" if settings.data_dir == default_data_dir() else f" --data-dir {settings.data_dir}"


def exists(data_dir: Path) -> bool:
    """True when a cluster was made in `data_dir`."""
    return (data_dir / CLUSTER_FILE).exists()


def load(data_dir: Path) -> NodeSettings:
    """The settings kept in `data_dir`. Raise `Invalid` when there are none or a file is not readable."""
    data_dir = Path(os.path.abspath(data_dir))  # the cluster's id is a digest of it
    shared = _read(data_dir, data_dir / CLUSTER_FILE)
    own_file = data_dir / NODE_FILE
    if own_file.exists() or "api_port" not in shared:
        own = _read(data_dir, own_file)
    else:  # one file had all until nodes and cluster were told apart
        own = {name: shared.pop(name) for name in set(shared) - OF_CLUSTER}
        if not own.pop("gateway", True):
            own["roles"] = [role for role in node.ROLES if role != GATEWAY]
    _refuse_unknown(data_dir / CLUSTER_FILE, shared, OF_CLUSTER)
    _refuse_unknown(own_file, own, OF_NODE)
    for name in ("roles", "without", "api_servers"):
        if name in own:
            own[name] = tuple(own[name])
    return NodeSettings(data_dir=data_dir, cluster=ClusterSettings(**shared), **own)


def load_of_server(data_dir: Path) -> NodeSettings:
    """As `load`, for what can be done where the server runs only. Raise `Invalid` on a node that joined."""
    found = load(data_dir)
    if found.is_joined:
        raise Invalid(f"this machine joined the cluster of {found.api_servers[0]}: run this on the server's machine")
    return found


def _read(data_dir: Path, path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Invalid(f"no cluster in {str(data_dir)!r}; start one with: wherry up --data-dir {data_dir}") from error
    except ValueError as error:
        raise Invalid(f"{path} is not readable JSON ({error}); restore it or run: wherry down --purge") from error
    return raw


def _refuse_unknown(path: Path, raw: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := set(raw) - known:
        raise Invalid(f"{path}: unknown settings {sorted(unknown)}; written by a newer Wherry?")


def save(settings: NodeSettings) -> None:
    """Write both files, the one that `exists` looks for last."""
    own = {name: value for name, value in asdict(settings).items() if name in OF_NODE}
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, raw in ((NODE_FILE, own), (CLUSTER_FILE, asdict(settings.cluster))):
        atomic_file.write(settings.data_dir / name, json.dumps(raw, indent=2).encode() + b"\n")


def discard(settings: NodeSettings) -> None:
    """Take the files away again, and the folder when that leaves it empty: nothing else was made yet."""
    for name in (CLUSTER_FILE, NODE_FILE):
        (settings.data_dir / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it was the user's and holds something
        settings.data_dir.rmdir()


def remember(settings: NodeSettings) -> None:
    """Note the cluster in the machine's list. Needs root."""
    link = KNOWN_DIR / settings.id
    while not link.is_symlink():
        KNOWN_DIR.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another cluster, the last on the list, was just taken off it
            link.symlink_to(settings.data_dir)


def forget(settings: NodeSettings) -> None:
    """Take it off the list; the last one takes the list with it. Idempotent."""
    (KNOWN_DIR / settings.id).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are on it
        KNOWN_DIR.rmdir()


def known(*besides: Path) -> list[NodeSettings]:
    """The clusters on the list and in `besides`, by data dir; what is damaged or was removed by hand is left out."""
    links = KNOWN_DIR.iterdir() if KNOWN_DIR.is_dir() else ()
    folders = {Path(os.path.abspath(folder)) for folder in (*(link.readlink() for link in links), *besides, default_data_dir())}
    found = []
    for folder in sorted(folders):
        if exists(folder):
            with contextlib.suppress(Invalid):
                found.append(load(folder))
    return found


def load_or_default(data_dir: Path) -> NodeSettings:
    """The cluster's settings, or what they would be: images can be made before the first `wherry up`."""
    data_dir = Path(os.path.abspath(data_dir))
    return load(data_dir) if exists(data_dir) else NodeSettings(data_dir=data_dir)


def load_or_create(data_dir: Path, given: dict[str, Any]) -> NodeSettings:
    """The cluster's settings; at the first call they are made from `given`, by name, and kept.

    Later a flag that differs from what is kept raises `Invalid`: a running cluster does not move its ports.
    """
    data_dir = Path(os.path.abspath(data_dir))
    if exists(data_dir):
        kept = load(data_dir)
        for name, value in given.items():
            found = getattr(kept.cluster if name in OF_CLUSTER else kept, name)
            if found != value:
                raise Invalid(
                    f"the cluster in {data_dir} has {name}={found!r}, not {value!r}; "
                    "use another --data-dir, or wherry down --purge first"
                )
        return kept
    shared = replace(ClusterSettings(), **{name: value for name, value in given.items() if name in OF_CLUSTER})
    own = {name: value for name, value in given.items() if name in OF_NODE}
    if not given.get("gateway", True):
        own["roles"] = tuple(role for role in node.ROLES if role != GATEWAY)
    settings = replace(NodeSettings(data_dir=data_dir, cluster=shared), **own)
    node.check(settings)
    cluster.check(shared)
    components.check(settings)
    save(settings)
    return settings
