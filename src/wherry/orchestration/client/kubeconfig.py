"""Read a kubeconfig file into a transport.

In:    a path (relative file names in it are relative to its folder) and a context name, "" for current-context.
Out:   `HttpTransport`.
Spec:  client-go tools/clientcmd/api/v1.
Refused: exec and auth-provider plugins (`Unsupported`), user/password pairs.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from wherry.kit.errors import Invalid, NotFound, Unsupported
from wherry.orchestration.client.http_transport import HttpTransport


def load(path: str | os.PathLike[str], context: str = "") -> HttpTransport:
    """The transport that `context` of the file describes."""
    file = Path(path)
    config = _read(file)
    chosen = context or str(config.get("current-context") or "")
    if not chosen:
        raise Invalid(f"kubeconfig {str(file)!r}: no context asked for and no current-context; name one")
    link = _named(config, "contexts", "context", chosen, file)
    cluster = _named(config, "clusters", "cluster", str(link.get("cluster") or ""), file)
    user = _named(config, "users", "user", str(link.get("user") or ""), file) if link.get("user") else {}
    return _transport(cluster, user, file)


def _transport(cluster: Mapping[str, Any], user: Mapping[str, Any], file: Path) -> HttpTransport:
    for plugin in ("exec", "auth-provider", "username"):
        if user.get(plugin):
            raise Unsupported(f"kubeconfig {str(file)!r}: user.{plugin} is not supported; use a certificate or a token")
    if not cluster.get("server"):
        raise Invalid(f"kubeconfig {str(file)!r}: cluster has no server")
    token_file = str(user.get("tokenFile") or "")
    return HttpTransport(
        str(cluster["server"]),
        ca=_credential(cluster, "certificate-authority", file),
        cert=_credential(user, "client-certificate", file),
        key=_credential(user, "client-key", file),
        token=str(user.get("token") or ""),
        token_file=file.parent / token_file if token_file else "",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise NotFound(f"kubeconfig {str(file)!r}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Invalid(f"kubeconfig {str(file)!r} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise Invalid(f"kubeconfig {str(file)!r}: not a mapping")
    return config


def _named(config: Mapping[str, Any], section: str, field: str, name: str, file: Path) -> dict[str, Any]:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            return dict(entry.get(field) or {})
    raise NotFound(f"kubeconfig {str(file)!r}: {field} {name!r} is not in {section}")


def _credential(holder: Mapping[str, Any], name: str, file: Path) -> bytes | Path | None:
    if data := holder.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=False)
        except binascii.Error as error:
            raise Invalid(f"kubeconfig {str(file)!r}: {name}-data is not base64") from error
    return file.parent / str(holder[name]) if holder.get(name) else None
