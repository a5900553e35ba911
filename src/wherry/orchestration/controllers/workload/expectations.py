"""Do not act twice on one need while the informer lags behind our own writes.

In:    what a controller created and deleted for a key.
Out:   whether the cache has caught up with that.
Spec:  the purpose of Kubernetes' ControllerExpectations, by revision instead of by count: resourceVersions of one
       resource are ordered (KEP-5504), so a cache at or past the revision of a create has seen it.
Lossy: an expectation lapses after `LAPSE_S`, in case the write it waits for never shows.
"""

from dataclasses import dataclass, field

from wherry.kit.clock import loop_time
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, revision_of, uid_of

LAPSE_S = 300.0
RECHECK_S = 5.0  # the awaited event wakes the key; this is for one that a relist has swallowed


@dataclass(slots=True)
class _Pending:
    since: float
    revision: int = 0
    deleted: dict[str, str] = field(default_factory=dict)  # uid -> key of the child


@dataclass(slots=True)
class Expectations:
    """For the children of one controller's objects, cached in `children`."""

    children: Informer
    _pending: dict[str, _Pending] = field(default_factory=dict)

    def created(self, key: str, child: Object) -> None:
        """`child`, as the server returned it, was created for `key`."""
        pending = self._of(key)
        pending.revision = max(pending.revision, revision_number(revision_of(child)))

    def deleted(self, key: str, child: Object) -> None:
        """Deletion of `child` was asked for."""
        self._of(key).deleted[uid_of(child)] = key_of(child)

    def met(self, key: str) -> bool:
        """True when the cache shows all of it."""
        pending = self._pending.get(key)
        if pending is None:
            return True
        pending.deleted = {uid: child for uid, child in pending.deleted.items() if self._still_there(child, uid)}
        caught_up = revision_number(self.children.revision) >= pending.revision and not pending.deleted
        if caught_up or loop_time() - pending.since > LAPSE_S:
            del self._pending[key]
            return True
        return False

    def forget(self, key: str) -> None:
        """`key` is gone."""
        self._pending.pop(key, None)

    def _of(self, key: str) -> _Pending:
        return self._pending.setdefault(key, _Pending(loop_time()))

    def _still_there(self, child: str, uid: str) -> bool:
        found = self.children.get(child)
        return found is not None and uid_of(found) == uid and not is_deleting(found)


def revision_number(revision: str) -> int:
    """A resourceVersion as a number, 0 when it is none (then nothing is waited for)."""
    return int(revision) if revision.isdecimal() else 0
