"""Write kubeconfig files: one of our own, and our context merged into a user's.

Spec:  https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
Never: drops a context, user or cluster that is not ours, or leaves half a file.
"""

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from wherry.kit import atomic_file
from wherry.kit.errors import Invalid

MODE = 0o600  # it holds a private key


def document(
    server: str, *, ca_pem: bytes, certificate_pem: bytes, key_pem: bytes, name: str = "wherry", user: str = ""
) -> dict[str, Any]:
    """A whole kubeconfig with one cluster, one user and one context, all inline."""
    user = user or f"{name}-admin"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _base64(ca_pem)}},
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _base64(certificate_pem), "client-key-data": _base64(key_pem)},
            },
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }


def write(path: Path, config: dict[str, Any]) -> None:
    """Replace `path` with `config`, mode 0600."""
    atomic_file.write(path, _dump(config), mode=MODE)


def merge_into(path: Path, config: dict[str, Any], *, make_current: bool = True) -> None:
    """Add or replace our named entries in the user's file, keeping all others.

    `make_current` sets the current context; without it only an empty one is set. A symbolic link is followed.
    Owner and group of an existing file are kept. Raise `Invalid` when the file is not a kubeconfig.
    """
    path = path.resolve()
    theirs = _read(path)
    merged = theirs | {"apiVersion": "v1", "kind": "Config"}
    for part in ("clusters", "users", "contexts"):
        ours = {entry["name"]: entry for entry in config[part]}
        kept = [entry for entry in theirs.get(part) or [] if entry.get("name") not in ours]
        merged[part] = [*kept, *ours.values()]
    if make_current or not theirs.get("current-context"):
        merged["current-context"] = config["current-context"]
    _write_as_owner(path, merged)


def remove_from(path: Path, config: dict[str, Any]) -> None:
    """Undo `merge_into`: drop our entries that still point at our server. A missing file is fine."""
    path = path.resolve()
    if not path.exists():
        return
    theirs = _read(path)
    names = {part: {entry["name"] for entry in config[part]} for part in ("clusters", "users", "contexts")}
    servers = {entry["cluster"]["server"] for entry in config["clusters"]}
    for entry in theirs.get("clusters") or []:
        if entry.get("name") in names["clusters"] and (entry.get("cluster") or {}).get("server") not in servers:
            return  # another cluster took the name since
    for part, ours in names.items():
        theirs[part] = [entry for entry in theirs.get(part) or [] if entry.get("name") not in ours]
    if theirs.get("current-context") in names["contexts"]:
        theirs["current-context"] = ""
    _write_as_owner(path, theirs)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"preferences": {}}
    try:
        read = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not a kubeconfig: {error}") from error
    if read is None:
        return {"preferences": {}}
    parts = [read.get(part) or [] for part in ("clusters", "users", "contexts")] if isinstance(read, dict) else [read]
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part) for part in parts) or (
            not isinstance(read, dict)):
        raise Invalid(f"{path} is not a kubeconfig: clusters, users and contexts must be lists of mappings")
    return dict(read)


def _write_as_owner(path: Path, config: dict[str, Any]) -> None:
    owner = path.stat() if path.exists() else path.parent.stat() if path.parent.exists() else None
    atomic_file.write(path, _dump(config), mode=MODE)
    if owner is not None and os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _dump(config: dict[str, Any]) -> bytes:
    text: str = yaml.dump(config, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
    return text.encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
