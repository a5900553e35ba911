"""A recipe: what an image is made of, as TOML.

In:    the text of a recipe file (README.md lists every key).
Out:   a frozen `Recipe`, or `Invalid` naming file, key and mend. Unknown keys are refused.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry.kit.errors import Invalid, NotFound

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")


@dataclass(frozen=True, slots=True)
class User:
    """A line of /etc/passwd, and of /etc/group when no group of that id is there."""

    name: str
    uid: int
    gid: int
    home: str = "/"
    shell: str = "/usr/sbin/nologin"
    group: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file to write: `text` as it stands, or the bytes of `source`, a path beside the recipe."""

    path: str
    text: str = ""
    source: str = ""
    mode: str = "0644"
    owner: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to have."""

    path: str
    mode: str = "0755"
    owner: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; replaces what is there."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """Files of a Python wheel: `take` maps paths (files or folders) in the wheel to paths in the image."""

    requirement: str
    take: Mapping[str, str]
    executable: tuple[str, ...] = ()  # paths in the image to make 0755


@dataclass(frozen=True, slots=True)
class Recipe:
    """See README.md."""

    name: str
    version: str
    path: Path
    text: bytes
    description: str = ""
    base: str = ""
    packages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    files: tuple[File, ...] = ()
    folders: tuple[Folder, ...] = ()
    links: tuple[Link, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    cnb: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The name the image gets."""
        return f"wherry.local/{self.name}:{self.version}"

    @property
    def lock_path(self) -> Path:
        """The lock file beside the recipe."""
        return self.path.with_suffix(".lock")


def is_name(text: str) -> bool:
    """Whether a recipe can be called that."""
    return bool(_NAME.match(text))


def load(path: Path) -> Recipe:
    """Read and check a recipe file. Raise `NotFound` or `Invalid`."""
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"recipe {str(path)!r} does not exist") from error
    try:
        return parse(text, path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}") from error


def parse(text: bytes, path: Path) -> Recipe:
    """Read a recipe's text; `path` is for messages and for the files beside it."""
    document = tomllib.loads(text.decode())
    known = {
        "name", "version", "description", "base", "packages", "exclude", "strip", "user", "file", "folder", "link", "wheel",
        "run", "config", "cnb",
    }
    _refuse_unknown(path, "", document, known)
    name, version = str(document.get("name", "")), str(document.get("version", ""))
    if not _NAME.match(name) or not version:
        raise Invalid(f"{path}: name and version are needed; a name is lower-case letters, digits, '.', '_' and '-'")
    config, cnb = document.get("config", {}), document.get("cnb", {})
    _refuse_unknown(path, "config.", config, set(CONFIG_KEYS))
    _refuse_unknown(path, "cnb.", cnb, {"id", "user", "group", "build", "description"})
    return Recipe(
        name, version, path, text, str(document.get("description", "")), str(document.get("base", "")),
        _texts(path, document, "packages"), _texts(path, document, "exclude"), _texts(path, document, "strip"),
        tuple(_made(path, "user", User, item) for item in document.get("user", [])),
        tuple(_made(path, "file", File, item) for item in document.get("file", [])),
        tuple(_made(path, "folder", Folder, item) for item in document.get("folder", [])),
        tuple(_made(path, "link", Link, item) for item in document.get("link", [])),
        tuple(_made(path, "wheel", Wheel, item) for item in document.get("wheel", [])),
        tuple(tuple(str(part) for part in command) for command in document.get("run", [])), config, cnb,
    )  # fmt: skip


CONFIG_KEYS = {  # recipe -> OCI image config
    "entrypoint": "Entrypoint", "cmd": "Cmd", "user": "User", "workdir": "WorkingDir", "stop_signal": "StopSignal",
    "env": "Env", "labels": "Labels", "expose": "ExposedPorts", "volumes": "Volumes",
}


def _refuse_unknown(path: Path, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise Invalid(f"{path}: key {prefix + key!r} is not known; known are {', '.join(sorted(known))}")


def _texts(path: Path, document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"{path}: {key} is not a list of strings")
    return tuple(value)


def _made(path: Path, key: str, kind: Any, item: Any) -> Any:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise Invalid(f"{path}: [[{key}]]: {error}") from error
