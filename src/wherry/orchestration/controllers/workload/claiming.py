"""Carry out a claim: adopt orphans, release what no longer matches, with conditions against races.

In:    owner, candidates.
Out:   the children the owner has afterwards, as the server last returned them.
Spec:  Kubernetes pkg/controller/controller_ref_manager.go: adoption only after a live read shows the owner alive.
"""

from collections.abc import Iterable

from wherry.kit.errors import Conflict, Invalid, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.controllers.workload.children import claim, with_owner, without_owner
from wherry.orchestration.objects.meta import (
    Object,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
    revision_of,
    uid_of,
)
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import LabelSelector


async def claim_children(
    client: Client,
    owner: Object,
    owners: Resource,
    children: Resource,
    selector: LabelSelector,
    found: Iterable[Object],
    *,
    finalizer: str = "",
) -> list[Object]:
    """Adopt and release, then return the children of `owner`. `finalizer` is put on what is adopted."""
    plan = claim(owner, selector, found)
    claimed = list(plan.owned)
    if plan.adopt:
        await _must_be_alive(client, owner, owners)
    for child in plan.adopt:
        reference = owner_reference(owner, api_version=owners.api_version, kind=owners.kind)
        patch = _patch(child, with_owner(child, reference))
        if finalizer:
            held = [name for name in child["metadata"].get("finalizers") or () if name != finalizer]
            patch["metadata"]["finalizers"] = [*held, finalizer]
        try:
            claimed.append(await client.patch(children, name_of(child), namespace_of(child), patch))
        except NotFound:
            continue
    for child in plan.release:
        await release(client, children, child, owner, finalizer=finalizer)
    return claimed


async def release(client: Client, children: Resource, child: Object, owner: Object, *, finalizer: str = "") -> None:
    """Give `child` up; a child that is gone, or refuses, is not ours anyway."""
    patch = _patch(child, without_owner(child, uid_of(owner)))
    if finalizer:
        held = child["metadata"].get("finalizers") or ()
        patch["metadata"]["finalizers"] = [name for name in held if name != finalizer]
    try:
        await client.patch(children, name_of(child), namespace_of(child), patch)
    except (NotFound, Invalid):
        return


async def _must_be_alive(client: Client, owner: Object, owners: Resource) -> None:
    live = await client.get(owners, name_of(owner), namespace_of(owner))
    if uid_of(live) != uid_of(owner):
        raise Conflict(f"original {owners.kind} {name_of(owner)!r} is gone: got uid {uid_of(live)}")
    if is_deleting(live):
        raise Conflict(f"{owners.kind} {name_of(owner)!r} has just been deleted")


def _patch(child: Object, owners: list[Object]) -> Object:
    return {
        "metadata": {"uid": uid_of(child), "resourceVersion": revision_of(child), "ownerReferences": owners or None}
    }
