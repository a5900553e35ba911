"""What the parts of the API server that only read (authenticator, authorizers, admission) know of the objects.

Reads are synchronous: they are answered from the watch cache and never wait for the store.
"""

from collections.abc import Sequence
from typing import Protocol

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource


class ObjectSource(Protocol):
    """Newest known objects. What is returned is a fresh copy, so that a reader may keep or change it."""

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object with its resourceVersion, or None. `namespace` is "" for cluster-scoped resources."""

    def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        """All objects of `resource`, in key order; of one namespace when `namespace` is given."""

    def revision(self, *resources: Resource) -> int:
        """The revision of the last change to any object of `resources`; lets readers keep an index until it moves.

        Changes of all resources come in the order of their revisions: the newest of several moves with each.
        """
