"""Make local volumes for the claims that ask for them, and delete them when their claims are gone.

In:    informers of claims, volumes, classes, nodes; the machine's volumes.
Out:   storage made before its PersistentVolume is written, and deleted before that is removed; events.
Never: binds; see `volume_binding`. Makes storage for a node that is not this machine's: the claim is refused with an event
       and the scheduler chooses again (the class says by allowedTopologies which node has it).
"""

import logging
from collections.abc import Iterable
from typing import Protocol

from wherry.infrastructure.storage.contract import Volume
from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.controllers.volume_binding.claims import volume_name_of
from wherry.orchestration.controllers.volume_binding.loop import CLAIM, PROVISIONER, VOLUME, Key
from wherry.orchestration.controllers.volume_provisioning import volume as describe
from wherry.orchestration.controllers.volume_provisioning.volume import DRIVER, FINALIZER
from wherry.orchestration.objects.kinds import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    revision_of,
    uid_of,
)
from wherry.orchestration.objects.volume_match import SELECTED_NODE, class_of, requested_bytes

log = logging.getLogger(__name__)


class Volumes(Protocol):
    """The machine's volumes, as far as claims need them. See infrastructure/storage/contract.py."""

    async def create(self, name: str, size_bytes: int) -> Volume: ...

    async def delete(self, name: str) -> None: ...

    async def expand(self, name: str, size_bytes: int) -> Volume: ...


def _asking(_: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    if new is not None and _asks_us(new):
        yield CLAIM, key_of(new)


def _ours(_: Seen, old: Object | None, new: Object | None) -> Iterable[Key]:
    if new is not None and describe.is_ours(new):
        yield VOLUME, key_of(new)


class Controller(Loop[Key]):
    """The provisioner of driver wherry.dev/local. `own_node`: whose disk `storage` is on; "": whichever is chosen."""

    name = "wherry.dev/local"
    workers = 4
    retry_s = (1.0, 300.0)  # storage that fails does not mend within milliseconds
    watches = (
        Watch(PERSISTENT_VOLUME_CLAIMS, _asking),
        Watch(PERSISTENT_VOLUMES, _ours),
        Watch(STORAGE_CLASSES, nobody),
        Watch(NODES, nobody),
    )

    def __init__(self, tools: Tools, storage: Volumes, own_node: str = "") -> None:
        super().__init__(tools)
        self._storage = storage
        self._own_node = own_node

    async def reconcile(self, key: Key, seen: Seen) -> None:
        """One claim or one volume."""
        kind, name = key
        if kind == CLAIM:
            await self._provision(seen[PERSISTENT_VOLUME_CLAIMS].get(name), seen)
        else:
            await self._reclaim(seen[PERSISTENT_VOLUMES].get(name), seen)

    async def _provision(self, claim: Object | None, seen: Seen) -> None:
        if claim is None or not _asks_us(claim) or seen[PERSISTENT_VOLUMES].get(volume_name_of(claim)) is not None:
            return
        storage_class, node = seen[STORAGE_CLASSES].get(class_of(claim)), self._node_for(claim, seen)
        if storage_class is None or node is None:
            await self._choose_again(claim)
            return
        if self._own_node and name_of(node) != self._own_node:
            why = f"volumes of {DRIVER} are made on node {self._own_node} only, and the pod was to run on {name_of(node)}"
            self._failed(claim, storage_class, why)
            await self._choose_again(claim)
            return
        self.recorder.event(
            claim, NORMAL, "Provisioning", f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
        )
        why = describe.refusal(claim)
        if why:
            self._failed(claim, storage_class, why)
            return
        try:
            made = await self._storage.create(volume_name_of(claim), requested_bytes(claim))
        except WherryError as error:
            self._failed(claim, storage_class, str(error))
            raise
        volume = describe.volume_for(claim, storage_class, node, made.size_bytes)
        try:
            await self.client.create(PERSISTENT_VOLUMES, volume)
        except AlreadyExists:
            return
        self.recorder.event(claim, NORMAL, "ProvisioningSucceeded", f"Successfully provisioned volume {name_of(volume)}")

    def _node_for(self, claim: Object, seen: Seen) -> Object | None:
        """The node the scheduler selected, or any when the class does not wait for a pod."""
        selected = annotations_of(claim).get(SELECTED_NODE)
        if selected:
            return seen[NODES].get(selected)
        if self._own_node:
            return seen[NODES].get(self._own_node)
        return min(seen[NODES].list(), key=name_of, default=None)

    async def _choose_again(self, claim: Object) -> None:
        """The selected node is gone: let the scheduler select another one."""
        if SELECTED_NODE in annotations_of(claim):
            metadata = {"resourceVersion": revision_of(claim), "annotations": {SELECTED_NODE: None, PROVISIONER: None}}
            await self.client.patch(PERSISTENT_VOLUME_CLAIMS, name_of(claim), namespace_of(claim), {"metadata": metadata})

    def _failed(self, claim: Object, storage_class: Object, why: str) -> None:
        text = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {why}'
        self.recorder.event(claim, WARNING, "ProvisioningFailed", text)

    async def _reclaim(self, volume: Object | None, seen: Seen) -> None:
        if volume is None:
            return
        if describe.holds_needlessly(volume):
            await self._let_go(volume)
        if not describe.must_be_deleted(volume) or _is_claimed(volume, seen):
            return
        try:
            await self._storage.delete(describe.handle_of(volume))
        except WherryError as error:
            self.recorder.event(volume, WARNING, "VolumeFailedDelete", str(error))
            raise
        log.info("volume %s deleted: its claim is gone", name_of(volume))
        try:
            await self._let_go(volume)
            await self.client.delete(PERSISTENT_VOLUMES, name_of(volume), uid=uid_of(volume))
        except NotFound:
            return

    async def _let_go(self, volume: Object) -> None:
        finalizers = volume["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            left = [name for name in finalizers if name != FINALIZER]
            patch = {"metadata": {"resourceVersion": revision_of(volume), "finalizers": left or None}}
            await self.client.patch(PERSISTENT_VOLUMES, name_of(volume), "", patch)


def _asks_us(claim: Object) -> bool:
    is_open = not (claim.get("spec") or {}).get("volumeName") and not is_deleting(claim)
    return is_open and annotations_of(claim).get(PROVISIONER) == DRIVER


def _is_claimed(volume: Object, seen: Seen) -> bool:
    """A last look before data is deleted: the claim of that uid must not be known."""
    ref = volume["spec"].get("claimRef") or {}
    claim = seen[PERSISTENT_VOLUME_CLAIMS].get(f"{ref.get('namespace')}/{ref.get('name')}")
    bound_here = claim is not None and (claim.get("spec") or {}).get("volumeName") in (None, "", name_of(volume))
    return claim is not None and uid_of(claim) == ref.get("uid") and bound_here
