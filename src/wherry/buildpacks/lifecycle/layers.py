"""What a buildpack leaves behind: layers with their flags, launch.toml, build.toml, store.toml.

In:    `<layers>/<buildpack>/`, which the buildpack wrote (untrusted).
Out:   values; `write_restored` writes what a buildpack finds from its last build.
Spec:  Buildpack API 0.12 "Layers", "launch.toml", "build.toml", "store.toml", "<layer>.toml".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.kit.errors import Invalid

RESERVED = frozenset({"build", "launch", "store"})
_TYPE = re.compile(r"[A-Za-z0-9._-]+")
_FLAGS = ("launch", "build", "cache")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of one buildpack. `has_content` is False for one that is to be taken from the last image."""

    name: str
    is_launch: bool = False
    is_build: bool = False
    is_cache: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    has_content: bool = True


@dataclass(frozen=True, slots=True)
class Process:
    """A way to start the image. Without `is_direct` the command is a shell's."""

    type: str
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    is_direct: bool = True
    is_default: bool = False
    working_dir: str = ""
    buildpack_id: str = ""
    exec_env: tuple[str, ...] = ()
    replaces_args: bool = True  # user arguments replace `args`; before API 0.9 they were appended


@dataclass(frozen=True, slots=True)
class Launch:
    """launch.toml."""

    processes: tuple[Process, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    slices: tuple[tuple[str, ...], ...] = ()


def read_layers(folder: Path) -> list[Layer]:
    """The layers of one buildpack, by name. Raise `Invalid` naming the file that is wrong."""
    return [_layer(path) for path in sorted(folder.glob("*.toml")) if path.stem not in RESERVED]


def drop_unused(folder: Path) -> None:
    """Rename layers without any flag out of the way of the buildpacks after this one."""
    for layer in read_layers(folder):
        if layer.has_content and not (layer.is_launch or layer.is_build or layer.is_cache):
            (folder / layer.name).rename(folder / f"{layer.name}.ignore")


def write_restored(folder: Path, name: str, metadata: Mapping[str, Any]) -> Path:
    """A layer's metadata from the last build, never with flags: the buildpack has to say again what it is."""
    path = folder / f"{name}.toml"
    path.write_text(toml_text.dumps({"metadata": metadata}))
    return path


def read_launch(folder: Path, pack: Buildpack) -> Launch:
    """launch.toml of one buildpack, {} when it wrote none."""
    document = toml_text.read(folder / "launch.toml")
    processes = tuple(_process(entry, pack) for entry in document.get("processes", ()))
    if sum(process.is_default for process in processes) > 1:
        raise Invalid(f"{pack.name}: launch.toml names more than one default process")
    labels = tuple((str(label.get("key", "")), str(label.get("value", ""))) for label in document.get("labels", ()))
    slices = tuple(tuple(str(path) for path in one.get("paths", ())) for one in document.get("slices", ()))
    return Launch(processes, labels, slices)


def read_unmet(folder: Path, known: frozenset[str], pack: Buildpack) -> frozenset[str]:
    """build.toml: the requirements this buildpack leaves to the next provider."""
    names = [str(entry.get("name", "")) for entry in toml_text.read(folder / "build.toml").get("unmet", ())]
    for name in names:
        if name not in known:
            raise Invalid(f"{pack.name}: build.toml says {name!r} is unmet, but the plan does not hold it")
    return frozenset(names)


def read_store(folder: Path) -> dict[str, Any]:
    """store.toml's metadata, which is kept from build to build."""
    found = toml_text.read(folder / "store.toml").get("metadata", {})
    return dict(found)


def _layer(path: Path) -> Layer:
    document = toml_text.read(path)
    if any(flag in document for flag in _FLAGS):
        raise Invalid(f"{path.name}: launch, build and cache belong into the table [types]")
    types = document.get("types", {})
    flags = [types.get(flag, False) for flag in _FLAGS]
    if not all(isinstance(flag, bool) for flag in flags):
        raise Invalid(f"{path.name}: the flags in [types] must be true or false")
    content = path.with_suffix("")
    if content.is_symlink():
        raise Invalid(f"{path.name}: the layer is a link, it must be a folder")
    return Layer(path.stem, flags[0], flags[1], flags[2], document.get("metadata", {}), content.is_dir())


def _process(entry: Mapping[str, Any], pack: Buildpack) -> Process:
    kind, given = str(entry.get("type", "")), entry.get("command", ())
    if not _TYPE.fullmatch(kind):
        raise Invalid(f"{pack.name}: launch.toml: process type {kind!r} may hold letters, digits, '.', '_' and '-' only")
    is_new = pack.api >= (0, 9)
    if is_new and isinstance(given, str):
        raise Invalid(f"{pack.name}: launch.toml: command of process {kind!r} must be a list from API 0.9 on")
    command = (str(given),) if isinstance(given, str) else tuple(str(word) for word in given)
    if not command or not command[0]:
        raise Invalid(f"{pack.name}: launch.toml: process {kind!r} has no command")
    return Process(
        type=kind,
        command=command,
        args=tuple(str(word) for word in entry.get("args", ())),
        is_direct=is_new or bool(entry.get("direct", False)),
        is_default=bool(entry.get("default", False)),
        working_dir=str(entry.get("working-dir", "")) if pack.api >= (0, 8) else "",
        buildpack_id=pack.id,
        exec_env=tuple(str(word) for word in entry.get("exec-env", ())),
        replaces_args=is_new,
    )
