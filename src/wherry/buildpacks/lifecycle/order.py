"""From an order to the groups that detection tries, one after the other.

In:    an order, the buildpacks.
Out:   groups of buildpacks without composites, each id once. Pure.
Spec:  Buildpack API 0.12 "Order Resolution".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wherry.buildpacks.lifecycle.descriptor import Buildpack, Order, Packs, Reference
from wherry.kit.errors import Invalid

GROUPS_MAX = 1000
DEPTH_MAX = 32  # composites in composites; a cycle would never end


@dataclass(frozen=True, slots=True)
class Member:
    """A buildpack's place in a group. The group can pass without an optional one."""

    pack: Buildpack
    is_optional: bool = False


Group = tuple[Member, ...]


def expand(order: Order, packs: Packs) -> Iterator[Group]:
    """The groups, depth first and left to right. Raise `NotFound` for an unknown id, `Invalid` for an endless order."""
    for number, group in enumerate(_orders(order, (), (), packs, is_optional=False, depth=0)):
        if number == GROUPS_MAX:
            raise Invalid(f"the order has more than {GROUPS_MAX} groups")
        yield group


def _orders(
    order: Order, done: Group, rest: tuple[Reference, ...], packs: Packs, *, is_optional: bool, depth: int
) -> Iterator[Group]:
    if depth > DEPTH_MAX:
        raise Invalid(f"the order nests composite buildpacks more than {DEPTH_MAX} deep; does one contain itself?")
    for group in order:
        yield from _group((*group, *rest), done, packs, depth)
    if is_optional:
        yield from _group(rest, done, packs, depth)


def _group(references: tuple[Reference, ...], done: Group, packs: Packs, depth: int) -> Iterator[Group]:
    for index, reference in enumerate(references):
        pack = packs.find(reference)
        if pack.order:
            rest = references[index + 1 :]
            yield from _orders(pack.order, done, rest, packs, is_optional=reference.is_optional, depth=depth + 1)
            return
        if all(member.pack.id != pack.id for member in done):
            done = (*done, Member(pack, reference.is_optional))
    if done:
        yield done
