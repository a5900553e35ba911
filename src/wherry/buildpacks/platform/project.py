"""project.toml: what a project says about its own build.

In:    the file's text.
Out:   `Project`; unknown keys are let pass, as the spec wants.
Spec:  CNB project descriptor, schema 0.2 (`[io.buildpacks]`) and 0.1 (`[build]`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import toml_text
from wherry.kit.errors import Invalid, Unsupported

FILE = "project.toml"


@dataclass(frozen=True, slots=True)
class Inline:
    """A buildpack written into project.toml."""

    id: str
    version: str
    api: str
    shell: str
    text: str


@dataclass(frozen=True, slots=True)
class Project:
    """What of project.toml a build uses."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    buildpacks: tuple[str | Inline, ...] = ()  # ids or folders
    pre: tuple[str | Inline, ...] = ()
    post: tuple[str | Inline, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    builder: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the label io.buildpacks.project.metadata


def load(path: Path) -> Project:
    """Read a project.toml; an empty project when there is none. Raise `Invalid` or `Unsupported`."""
    document = toml_text.read(path)
    about = document.get("_") or document.get("project") or {}
    version = str(about.get("schema-version", "0.2"))
    if version not in ("0.1", "0.2"):
        raise Unsupported(f"{path}: schema-version {version!r} is not supported, 0.1 and 0.2 are")
    part = (document.get("io") or {}).get("buildpacks") or _old(document)
    if part.get("include") and part.get("exclude"):
        raise Invalid(f"{path}: include and exclude cannot both be given")
    env = (part.get("build") or {}).get("env", ())
    return Project(
        include=tuple(part.get("include", ())),
        exclude=tuple(part.get("exclude", ())),
        buildpacks=_group(part.get("group", ()), path),
        pre=_group((part.get("pre") or {}).get("group", ()), path),
        post=_group((part.get("post") or {}).get("group", ()), path),
        env={str(one["name"]): str(one.get("value", "")) for one in env if one.get("name")},
        builder=str(part.get("builder", "")),
        metadata=_metadata(about),
    )


def _old(document: Mapping[str, Any]) -> Mapping[str, Any]:
    build = document.get("build") or {}
    return {**build, "group": build.get("buildpacks", ()), "build": {"env": build.get("env", ())}}


def _group(entries: Any, path: Path) -> tuple[str | Inline, ...]:
    return tuple(_entry(entry, path) for entry in entries)


def _entry(entry: Mapping[str, Any], path: Path) -> str | Inline:
    script = entry.get("script")
    if script:
        name = str(entry.get("id", ""))
        if not name or not script.get("inline"):
            raise Invalid(f"{path}: an inline buildpack needs id and script.inline")
        return Inline(
            name, str(entry.get("version", "0.0.0")), str(script.get("api", "0.10")), str(script.get("shell", "/bin/sh")),
            str(script["inline"]),
        )  # fmt: skip
    if uri := str(entry.get("uri", "")):
        if "://" in uri and not uri.startswith("file://"):
            raise Unsupported(f"{path}: buildpack {uri!r}: only folders can be used")
        return uri.removeprefix("file://")
    if not entry.get("id"):
        raise Invalid(f"{path}: a buildpack of the group has neither id nor uri")
    version = str(entry.get("version", ""))
    return f"{entry['id']}@{version}" if version else str(entry["id"])


def _metadata(about: Mapping[str, Any]) -> dict[str, Any]:
    if not about.get("version"):
        return {}
    source: dict[str, Any] = {"type": "project", "version": {"declared": str(about["version"])}}
    if about.get("source-url"):
        source["metadata"] = {"url": str(about["source-url"])}
    return {"source": source}
