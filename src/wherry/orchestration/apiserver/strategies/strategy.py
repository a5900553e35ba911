"""What writing means for a kind: what a create resets, what an update may not touch, when the generation grows.

In:    objects that the writer owns; a strategy changes them in place.
Spec:  upstream's `rest.RESTCreateStrategy`, `RESTUpdateStrategy`, `RESTGracefulDeleteStrategy` per kind.
Never: reads other objects (admission does); only `reserve` and `released` wait.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from copy import deepcopy

from wherry.orchestration.objects.meta import Object

SYSTEM_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class Strategy:
    """The rules most kinds share; the sheets say which kind has which."""

    def __init__(
        self, *, has_status: bool = False, tracks_generation: bool = False, initial_status: Object | None = None,
        keeps_status_on_create: bool = False, creates_on_update: bool = False,
        takes_unconditional_update: bool = True, status_takes_metadata: bool = True,
        generation_follows_annotations: bool = False,
    ) -> None:
        self.has_status = has_status
        self.tracks_generation = tracks_generation
        self.initial_status = initial_status
        self.keeps_status_on_create = keeps_status_on_create
        self.creates_on_update = creates_on_update
        self.takes_unconditional_update = takes_unconditional_update
        self.status_takes_metadata = status_takes_metadata
        self.generation_follows_annotations = generation_follows_annotations

    def prepare_create(self, obj: Object) -> None:
        """Reset what a client may not set."""
        if self.has_status and not self.keeps_status_on_create:
            obj.pop("status", None)
            if self.initial_status is not None:
                obj["status"] = deepcopy(self.initial_status)
        if self.tracks_generation:
            obj["metadata"]["generation"] = 1

    def prepare_update(self, obj: Object, old: Object) -> None:
        """An update of the object itself: the status stays, the generation grows when the wish changed."""
        if self.has_status:
            keep(obj, old, "status")
        if self.tracks_generation and self.wish_changed(obj, old):
            obj["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1

    def wish_changed(self, obj: Object, old: Object) -> bool:
        """Whether anything but metadata and status differs."""
        names = {*obj, *old} - {"metadata", "apiVersion", "kind", *(["status"] if self.has_status else [])}
        if any(obj.get(name) != old.get(name) for name in names):
            return True
        if not self.generation_follows_annotations:
            return False
        return (obj["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})

    def prepare_status(self, obj: Object, old: Object) -> None:
        """An update of the status: everything else stays as it was."""
        for name in {*obj, *old} - {"metadata", "status"}:
            keep(obj, old, name)
        if not self.status_takes_metadata:
            managed = obj["metadata"].get("managedFields")
            revision = obj["metadata"].get("resourceVersion")
            obj["metadata"] = {**old["metadata"], "managedFields": managed, "resourceVersion": revision}
            for name in ("managedFields", "resourceVersion"):
                if obj["metadata"][name] is None:
                    del obj["metadata"][name]

    def stamp(self, obj: Object, old: Object | None, now: str) -> None:
        """Note `now` (RFC 3339) where a prepared object says since when it is what it is; `old` None: it is new."""

    def not_written(self, subresource: str) -> tuple[str, ...]:
        """The top-level fields that a write of this subresource leaves alone, for ownership."""
        if subresource == "status":
            return ("spec",)
        return ("status",) if self.has_status and not subresource else ()

    def grace_s(self, obj: Object, asked_s: int | None) -> int | None:
        """Seconds between the wish to delete and the deletion; None for kinds that go at once."""
        return None

    def delete_finalizers(self) -> tuple[str, ...]:
        """Finalizers the server sets itself when deletion begins."""
        return ()

    def on_delete(self, obj: Object) -> None:
        """Called when deletionTimestamp is first set."""

    def reserve(self, obj: Object, old: Object | None, *, is_dry_run: bool) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Take scarce values (addresses, ports) for `obj`, filling them in; give back unless what is yielded is called."""
        return nullcontext(lambda: None)

    async def released(self, obj: Object) -> None:
        """`obj` is gone from the store: give back what it had."""


def keep(obj: Object, old: Object, name: str) -> None:
    """Give `obj` the `name` of `old`, also when that is absent."""
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)
