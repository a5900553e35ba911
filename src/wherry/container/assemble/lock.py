"""Lock files: exactly which packages and wheels a recipe was assembled from.

In:    a recipe's text, what was resolved.
Out:   JSON beside the recipe: versions, sizes and SHA-256, and paths inside the archive, never an archive's address.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.container.assemble.packages import Package
from wherry.container.assemble.recipe import Recipe
from wherry.kit.errors import Invalid

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One downloaded wheel."""

    requirement: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Lock:
    """`inputs` says for which packages, exclusions, wheels and base packages the lock was made."""

    inputs: str
    packages: tuple[Package, ...] = ()
    wheels: tuple[LockedWheel, ...] = ()

    def fits(self, architecture: str, machine: str) -> bool:
        """Whether it was made on such a machine: "amd64" and "x86_64"."""
        debs = all(package.architecture in ("all", architecture) for package in self.packages)
        return debs and all(wheel.file.endswith("-any.whl") or machine in wheel.file for wheel in self.wheels)


def inputs_of(recipe: Recipe, installed: Sequence[Package]) -> str:
    """A digest of what decides the resolution. Locks of another digest are stale."""
    base = sorted(f"{package.name} {package.version}" for package in installed)
    said = [FORMAT, recipe.packages, recipe.exclude, [wheel.requirement for wheel in recipe.wheels], base]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def dump(lock: Lock) -> bytes:
    """The file, one package a line, so that changes read well."""
    packages = [
        {"name": one.name, "version": one.version, "architecture": one.architecture, "source": one.source,
         "size": one.size, "sha256": one.sha256, "path": one.path}
        for one in lock.packages
    ]  # fmt: skip
    wheels = [{"requirement": one.requirement, "file": one.file, "sha256": one.sha256} for one in lock.wheels]
    lines = [f'  "format": {FORMAT},', f'  "inputs": "{lock.inputs}",']
    lines += [_rows("packages", packages) + ",", _rows("wheels", wheels)]
    return ("{\n" + "\n".join(lines) + "\n}\n").encode()


def load(data: bytes) -> Lock:
    """Read a lock file, or raise `Invalid`."""
    try:
        document = json.loads(data)
        packages = tuple(
            Package(one["name"], one["version"], one["architecture"], one["path"], one["size"], one["sha256"], source=one["source"])
            for one in document["packages"]
        )
        wheels = tuple(LockedWheel(one["requirement"], one["file"], one["sha256"]) for one in document["wheels"])
        return Lock(document["inputs"], packages, wheels)
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"lock file cannot be read ({error}); remove it and assemble again") from error


def _rows(name: str, rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return f'  "{name}": []'
    return f'  "{name}": [\n' + ",\n".join("    " + json.dumps(row) for row in rows) + "\n  ]"
