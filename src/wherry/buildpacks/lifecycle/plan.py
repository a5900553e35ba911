"""The build plan: who provides what others require.

In:    for each member that passed detection, its alternatives of provides and requires.
Out:   the members that build, and the plan; or why no alternative works. Pure.
Spec:  Buildpack API 0.12 "Phase #1: Detection", build plan; the rules of a trial are the lifecycle's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.order import Member
from wherry.kit.errors import Invalid

TRIALS_MAX = 10_000  # alternatives multiply


@dataclass(frozen=True, slots=True)
class Require:
    """What a member needs, with what it says about it."""

    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way a member can take part."""

    provides: tuple[str, ...] = ()
    requires: tuple[Require, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One dependency of the plan: the first provider that meets it removes it for those after it."""

    name: str
    providers: tuple[Buildpack, ...]
    requires: tuple[Require, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that passed, and its alternatives in order."""

    member: Member
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who builds, and the plan."""

    group: tuple[Buildpack, ...]
    entries: tuple[Entry, ...]


class Unresolved(Invalid):
    """No combination of alternatives works. The message has one line for each that was tried, up to a few."""


_Chosen = tuple[Member, Alternative]


def alternatives(document: Mapping[str, Any]) -> tuple[Alternative, ...]:
    """The plan a `bin/detect` wrote. Raise `Invalid` when it is none."""
    return tuple(_alternative(part) for part in (document, *document.get("or", ())))


def resolve(candidates: tuple[Candidate, ...]) -> Resolved:
    """The first combination that works, or `Unresolved`."""
    problems: list[str] = []
    for number, chosen in enumerate(_combinations(candidates)):
        if number == TRIALS_MAX:
            raise Unresolved(f"no plan found in {TRIALS_MAX} trials")
        result = _trial(chosen)
        if isinstance(result, Resolved):
            return result
        if result not in problems:
            problems.append(result)
    raise Unresolved("; ".join(problems[:5]) or "no buildpack passed")


def entries_for(entries: tuple[Entry, ...], pack: Buildpack) -> tuple[Entry, ...]:
    """What the plan tells one buildpack."""
    return tuple(entry for entry in entries if any(one.id == pack.id for one in entry.providers))


def after(entries: tuple[Entry, ...], pack: Buildpack, unmet: frozenset[str]) -> tuple[Entry, ...]:
    """The plan for those that build after `pack`, which left `unmet` to them."""
    left = []
    for entry in entries:
        if all(one.id != pack.id for one in entry.providers):
            left.append(entry)
        elif entry.name in unmet:
            left.append(replace(entry, providers=tuple(one for one in entry.providers if one.id != pack.id)))
    return tuple(left)


def _alternative(part: Mapping[str, Any]) -> Alternative:
    requires = []
    for require in part.get("requires", ()):
        if "version" in require:
            raise Invalid("build plan: requires.version is not allowed, use requires.metadata.version")
        requires.append(Require(_name(require), require.get("metadata", {})))
    return Alternative(tuple(_name(provide) for provide in part.get("provides", ())), tuple(requires))


def _name(entry: Mapping[str, Any]) -> str:
    if not entry.get("name"):
        raise Invalid("build plan: an entry has no name")
    return str(entry["name"])


def _combinations(candidates: tuple[Candidate, ...]) -> Iterator[tuple[_Chosen, ...]]:
    if not candidates:
        yield ()
        return
    first, rest = candidates[0], candidates[1:]
    for index, alternative in enumerate(first.alternatives):
        # Only the last alternative of an optional member may be dropped.
        is_optional = first.member.is_optional and index == len(first.alternatives) - 1
        for others in _combinations(rest):
            yield ((Member(first.member.pack, is_optional), alternative), *others)


def _trial(chosen: tuple[_Chosen, ...]) -> Resolved | str:
    while chosen:
        entries, unmet = _match(chosen)
        if not unmet:
            return Resolved(tuple(member.pack for member, _ in chosen), entries)
        dropped = set()
        for member, problem in unmet:
            if not member.is_optional:
                return problem
            dropped.add(member.pack.id)
        chosen = tuple(one for one in chosen if one[0].pack.id not in dropped)
    return "no viable buildpacks in group"


def _match(chosen: tuple[_Chosen, ...]) -> tuple[tuple[Entry, ...], list[tuple[Member, str]]]:
    providers: dict[str, list[Member]] = {}  # whose provide somebody has required
    offered: dict[str, list[Member]] = {}  # whose provide nobody has required yet
    requires: dict[str, list[Require]] = {}
    early: list[tuple[Member, str]] = []
    for member, alternative in chosen:
        for name in alternative.provides:
            offered.setdefault(name, []).append(member)
        for require in alternative.requires:
            providers.setdefault(require.name, []).extend(offered.pop(require.name, ()))
            if providers[require.name]:
                requires.setdefault(require.name, []).append(require)
            else:
                early.append((member, f"{member.pack.name} requires {require.name}"))
    unused = [(member, f"{member.pack.name} provides unused {name}") for name, some in offered.items() for member in some]
    entries = tuple(
        Entry(name, tuple(dict.fromkeys(member.pack for member in providers[name])), tuple(requires[name]))
        for name in sorted(requires)
    )
    return entries, early + unused
