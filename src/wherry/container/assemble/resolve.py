"""Which packages a recipe needs: names in, a closed set of versions out.

In:    an `Archive`, the wanted names, what a base image already has, names to leave out.
Out:   packages sorted by name, complete under Depends and Pre-Depends. Recommends are never followed.
Never: backtracks: Debian's stable archives do not need it. A set that contradicts itself raises, naming both sides.
"""

from collections.abc import Iterable, Mapping, Sequence

from wherry.container.assemble.packages import Alternatives, Archive, Package, Relation, parse_depends, provides
from wherry.kit.errors import Invalid


class NotResolvable(Invalid):
    """No set of packages fits; the message names the package and what to change in the recipe."""


def resolve(
    archive: Archive, wanted: Sequence[str], *, installed: Mapping[str, Package], excluded: Iterable[str] = ()
) -> list[Package]:
    """The packages to add to `installed`. `wanted` items are names or relations such as `redis-server (>= 7)`."""
    work = _Resolution(archive, installed, frozenset(excluded))
    for text in wanted:
        for alternatives in parse_depends(text):
            work.need(alternatives, "the recipe")
    work.run()
    _check_conflicts({**installed, **work.chosen})
    return sorted(work.chosen.values(), key=lambda package: package.name)


class _Resolution:
    def __init__(self, archive: Archive, installed: Mapping[str, Package], excluded: frozenset[str]) -> None:
        self._archive = archive
        self._installed = installed
        self._excluded = excluded
        self._pending: list[Package] = []
        self.chosen: dict[str, Package] = {}

    def run(self) -> None:
        while self._pending:
            package = self._pending.pop(0)
            for alternatives in package.depends:
                self.need(alternatives, package.name)

    def need(self, alternatives: Alternatives, by: str) -> None:
        if any(relation.name in self._excluded for relation in alternatives) or self._is_met(alternatives):
            return
        for relation in alternatives:
            found = self._candidate(relation)
            if found is not None:
                self.chosen[found.name] = found
                self._pending.append(found)
                return
        text = " | ".join(str(relation) for relation in alternatives)
        for have in filter(None, map(self._already, alternatives)):
            raise NotResolvable(
                f"package {text!r} is needed by {by}, but {have.name} {have.version} is already chosen: "
                f"assemble the base image again, or ask for that version in the recipe"
            )
        raise NotResolvable(
            f"package {text!r}, needed by {by}, is not in the archives apt knows: correct the name, add the archive to apt's "
            f"sources and run `apt-get update`, or list it under `exclude`"
        )

    def _already(self, relation: Relation) -> Package | None:
        return self.chosen.get(relation.name) or self._installed.get(relation.name)

    def _is_met(self, alternatives: Alternatives) -> bool:
        have = [*self._installed.values(), *self.chosen.values()]
        by_name = {package.name: package for package in have}
        for relation in alternatives:
            same = by_name.get(relation.name)
            if same is not None and provides(same, relation):
                return True
            if any(provides(package, relation) for package in have if package.provides):
                return True
        return False

    def _candidate(self, relation: Relation) -> Package | None:
        if self._already(relation) is not None:
            return None  # chosen in a version that does not fit
        found = self._archive.candidate(relation)
        if found is not None:
            return found
        offers = self._archive.providers(relation)
        return next((offer for offer in offers if offer.name not in self._excluded), None)


def _check_conflicts(packages: Mapping[str, Package]) -> None:
    for package in packages.values():
        for refused in package.conflicts:
            for other in packages.values():
                if other.name != package.name and provides(other, refused):
                    raise NotResolvable(f"packages {package.name!r} and {other.name!r} exclude each other; drop one")
