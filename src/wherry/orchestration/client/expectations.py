"""Do not act twice on one need while an informer lags behind our own writes.

In:    what a loop wrote and deleted for a key, as the server answered.
Out:   whether the caches have caught up with that.
Spec:  the purpose of Kubernetes' ControllerExpectations, by revision instead of by count: resourceVersions of one
       resource are ordered (KEP-5504), so a cache at or past the revision of a write has seen it.
Lossy: an expectation lapses after `LAPSE_S`, in case the write it waits for never shows.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from wherry.kit.clock import loop_time
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, revision_of, uid_of
from wherry.orchestration.objects.resources import Resource

LAPSE_S = 300.0


@dataclass(slots=True)
class _Pending:
    since: float
    revision: int = 0
    deleted: dict[str, str] = field(default_factory=dict)  # uid -> key of the object


@dataclass(slots=True)
class Expectations:
    """For the keys of one loop, over the resources it watches."""

    informers: Mapping[Resource, Informer]
    _pending: dict[Hashable, dict[Resource, _Pending]] = field(default_factory=dict)

    def wrote(self, key: Hashable, resource: Resource, obj: Object) -> None:
        """`obj`, as the server returned it, was created or changed for `key`."""
        pending = self._of(key, resource)
        pending.revision = max(pending.revision, revision_number(revision_of(obj)))

    def deleted(self, key: Hashable, resource: Resource, obj: Object) -> None:
        """Deletion of `obj` was asked for."""
        self._of(key, resource).deleted[uid_of(obj)] = key_of(obj)

    def met(self, key: Hashable, *resources: Resource) -> bool:
        """True when the caches show all of it; with `resources`, those caches."""
        of_key = self._pending.get(key)
        if of_key is None:
            return True
        for resource in [resource for resource in of_key if not resources or resource in resources]:
            if self._shows(self.informers[resource], of_key[resource]):
                del of_key[resource]
        if not of_key:
            del self._pending[key]
        return not any(resource in of_key for resource in resources or of_key)

    def forget(self, key: Hashable) -> None:
        """`key` is gone."""
        self._pending.pop(key, None)

    def _of(self, key: Hashable, resource: Resource) -> _Pending:
        return self._pending.setdefault(key, {}).setdefault(resource, _Pending(loop_time()))

    @staticmethod
    def _shows(informer: Informer, pending: _Pending) -> bool:
        pending.deleted = {uid: name for uid, name in pending.deleted.items() if _still_there(informer, name, uid)}
        caught_up = revision_number(informer.revision) >= pending.revision and not pending.deleted
        return caught_up or loop_time() - pending.since > LAPSE_S


def _still_there(informer: Informer, key: str, uid: str) -> bool:
    found = informer.get(key)
    return found is not None and uid_of(found) == uid and not is_deleting(found)


def revision_number(revision: str) -> int:
    """A resourceVersion as a number, 0 when it is none (then nothing is waited for)."""
    return int(revision) if revision.isdecimal() else 0
