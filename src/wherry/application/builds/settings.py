"""What `wherry deploy` is told: by flags, and by an optional `wherry.toml` beside the source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import toml_text
from wherry.kit.errors import Invalid

FILE = "wherry.toml"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # a Service's name: RFC 1035 label


@dataclass(frozen=True, slots=True)
class AppSettings:
    """One application. The keys of `[deploy]` in wherry.toml are these names, with `-` or `_`."""

    name: str
    namespace: str = "default"
    port: int = 8080  # given to the process as PORT
    replicas: int = 1
    host: str = ""  # "": <name>.localhost, which leads to this machine
    path: str = "/"  # of the route; requests keep it
    health: str = ""  # path of a GET that answers 200 when the application can serve; "": the port is open
    process: str = ""  # "": the image's default
    memory: str = "512Mi"  # limit
    env: Mapping[str, str] = field(default_factory=dict)
    env_from: tuple[str, ...] = ()  # names of Secrets and ConfigMaps as `secret/NAME` or `configmap/NAME`

    @property
    def hostname(self) -> str:
        return self.host or f"{self.name}.localhost"


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the cluster's registry and gateway are. `gateway_port` 0: there is no gateway, so no route is made."""

    registry: str  # such as registry.wherry.local:5050
    gateway_address: str = "127.0.0.1"
    gateway_port: int = 80
    ready_limit_s: float = 120.0  # for the pods, and then for the first answer


def load(folder: Path, given: Mapping[str, Any]) -> AppSettings:
    """wherry.toml's `[deploy]` under what was `given` on the command line (None: not given). Raise `Invalid`."""
    document = toml_text.read(folder / FILE)
    unknown = [key for key in document if key != "deploy"]
    table = document.get("deploy", {})
    known = {one.name for one in fields(AppSettings)}
    values = {key.replace("-", "_"): value for key, value in table.items()}
    unknown += [f"deploy.{key}" for key in values if key not in known]
    if unknown:
        raise Invalid(f"{FILE}: key {unknown[0]!r} is not known; known in [deploy] are {', '.join(sorted(known))}")
    values |= {key: value for key, value in given.items() if value is not None}
    name = values.pop("name", "") or _name_of(folder)
    values["env_from"] = tuple(values.get("env_from", ()))
    try:
        return check(replace(AppSettings(name=name), **values))
    except TypeError as error:
        raise Invalid(f"{FILE}: {error}") from error


def check(app: AppSettings) -> AppSettings:
    """Return `app`, or raise `Invalid` naming the field."""
    for what, value in (("name", app.name), ("namespace", app.namespace)):
        if not _NAME.fullmatch(str(value)):
            raise Invalid(f"{what} {value!r}: use lower-case letters, digits and '-', begin with a letter, at most 63")
    if not isinstance(app.port, int) or not 0 < app.port < 65536:
        raise Invalid(f"port {app.port!r} is not in 1-65535")
    if not isinstance(app.replicas, int) or app.replicas < 0:
        raise Invalid(f"replicas {app.replicas!r} is not a number from 0 on")
    if not app.path.startswith("/"):
        raise Invalid(f"path {app.path!r} does not begin with '/'")
    if any(not one.startswith(("secret/", "configmap/")) for one in app.env_from):
        raise Invalid("env_from: each entry is secret/NAME or configmap/NAME")
    return app


def _name_of(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:63].strip("-")
    if not _NAME.fullmatch(name):
        raise Invalid(f"folder {folder.resolve().name!r} gives no name for the application; use --name")
    return name
