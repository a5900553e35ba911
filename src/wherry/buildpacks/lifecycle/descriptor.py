"""Buildpacks on disk: what `buildpack.toml` says, and the set of those a build may use.

In:    folders with a `buildpack.toml` (and `bin/detect`, `bin/build`, or an `[[order]]`).
Out:   `Buildpack` values; `Packs` finds them by id and version.
Spec:  Buildpack API 0.12 "Data Format", "Composite Buildpacks", "Targets".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.versions import Api, buildpack_api
from wherry.kit.errors import Invalid, NotFound

DESCRIPTOR = "buildpack.toml"
_FORBIDDEN_IDS = frozenset({"app", "config", "generated", "sbom"})


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of an order: a buildpack by id; `version` "" means the one there is."""

    id: str
    version: str = ""
    is_optional: bool = False


Order = tuple[tuple[Reference, ...], ...]  # groups, tried in this order


@dataclass(frozen=True, slots=True)
class Target:
    """Where a buildpack works; "" and () mean anywhere."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    distributions: tuple[tuple[str, str], ...] = ()  # name, version

    def fits(self, other: "Target") -> bool:
        """Whether a machine (with at most one distribution) is one of these."""
        pairs = ((self.os, other.os), (self.architecture, other.architecture), (self.variant, other.variant))
        if any(mine and theirs and mine != theirs for mine, theirs in pairs):
            return False
        return not self.distributions or not other.distributions or other.distributions[0] in self.distributions


@dataclass(frozen=True, slots=True)
class Buildpack:
    """One buildpack. `folder` is on this machine, `inside` where the build finds it. Composite when it has an order."""

    id: str
    version: str
    api: Api
    folder: Path
    inside: str
    homepage: str = ""
    is_env_cleared: bool = False
    sbom_formats: tuple[str, ...] = ()
    order: Order = ()
    targets: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        """`id@version`, as logs name it."""
        return f"{self.id}@{self.version}"

    @property
    def api_text(self) -> str:
        return f"{self.api[0]}.{self.api[1]}"

    @property
    def escaped_id(self) -> str:
        """The id as a folder's name."""
        return escape(self.id)

    def fits(self, target: Target) -> bool:
        """Whether it says it works there."""
        return not self.targets or any(one.fits(target) for one in self.targets)


class Packs:
    """The buildpacks of one build."""

    def __init__(self, packs: Iterable[Buildpack]) -> None:
        self._by_id: dict[str, dict[str, Buildpack]] = {}
        for pack in packs:
            self._by_id.setdefault(pack.id, {})[pack.version] = pack

    def find(self, reference: Reference) -> Buildpack:
        """The buildpack of an order's entry, or `NotFound` with those there are."""
        versions = self._by_id.get(reference.id, {})
        if reference.version in versions:
            return versions[reference.version]
        if not reference.version and len(versions) == 1:
            return next(iter(versions.values()))
        wanted = f"{reference.id}@{reference.version}" if reference.version else reference.id
        there = ", ".join(sorted(pack.name for pack in self)) or "none"
        raise NotFound(f"buildpack {wanted!r} is not in the builder; it has: {there}")

    def __iter__(self) -> Iterator[Buildpack]:
        return (pack for versions in self._by_id.values() for pack in versions.values())


def escape(buildpack_id: str) -> str:
    """A buildpack's id as one path element."""
    return buildpack_id.replace("/", "_")


def load(folder: Path, inside: str = "") -> Buildpack:
    """Read a buildpack's folder. Raise `Invalid`, or `PhaseFailed` for an API version that is not spoken."""
    document = toml_text.read(folder / DESCRIPTOR)
    about = document.get("buildpack")
    if not isinstance(about, dict) or not about.get("id") or not about.get("version"):
        raise Invalid(f"{folder}: no buildpack.toml with buildpack.id and buildpack.version")
    buildpack_id, version = str(about["id"]), str(about["version"])
    if buildpack_id in _FORBIDDEN_IDS:
        raise Invalid(f"{folder}: buildpack id {buildpack_id!r} is reserved")
    pack = Buildpack(
        id=buildpack_id,
        version=version,
        api=buildpack_api(str(document.get("api", "")), f"buildpack {buildpack_id}@{version}"),
        folder=folder,
        inside=inside or str(folder),
        homepage=str(about.get("homepage", "")),
        is_env_cleared=bool(about.get("clear-env", False)),
        sbom_formats=tuple(str(kind).split(";")[0] for kind in about.get("sbom-formats", ())),
        order=read_order(document),
        targets=_targets(document, folder),
    )
    if not pack.order:
        _check_programs(pack)
    return pack


def read_order(document: Mapping[str, Any], key: str = "order") -> Order:
    """`[[order]]` with `[[order.group]]`, as in buildpack.toml, order.toml and builder.toml."""
    groups = []
    for group in document.get(key, ()):
        entries = group.get("group", ())
        if not entries or not all(entry.get("id") for entry in entries):
            raise Invalid(f"{key}: each group needs entries with an id")
        groups.append(tuple(_reference(entry) for entry in entries))
    return tuple(groups)


def _reference(entry: Mapping[str, Any]) -> Reference:
    return Reference(str(entry["id"]), str(entry.get("version", "")), bool(entry.get("optional", False)))


def _targets(document: Mapping[str, Any], folder: Path) -> tuple[Target, ...]:
    found = []
    for one in document.get("targets", ()):
        distributions = tuple((str(d.get("name", "")), str(d.get("version", ""))) for d in one.get("distros", ()))
        system, architecture, variant = (str(one.get(key, "")) for key in ("os", "arch", "variant"))
        found.append(Target(system, architecture, variant, distributions))
    stacks = [str(stack.get("id", "")) for stack in document.get("stacks", ())]
    if not found and stacks:
        # Old descriptors name stacks; "*" is any, and the one stack whose distribution the spec tells is bionic.
        bionic = Target("linux", "amd64", "", (("ubuntu", "18.04"),))
        found = [bionic if stack == "io.buildpacks.stacks.bionic" else Target() for stack in stacks]
    if not found and (folder / "bin" / "build").exists():
        found = [Target("linux")]
    return tuple(found)


def _check_programs(pack: Buildpack) -> None:
    for name in ("detect", "build"):
        if not (pack.folder / "bin" / name).is_file():
            raise PhaseFailed(Code.DETECT, f"buildpack {pack.name}: bin/{name} is missing")
