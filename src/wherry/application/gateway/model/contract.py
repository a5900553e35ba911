"""The seam for routing dialects: Kubernetes objects in, a part of the model and statuses out. Pure.

A further dialect is a module with a class of this shape, named in `dialects/known.py`.
"""

from dataclasses import dataclass
from typing import Protocol

from wherry.application.gateway.model.snapshot import Snapshot
from wherry.application.gateway.model.values import Listener
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource


@dataclass(frozen=True, slots=True)
class Watched:
    """A resource a dialect reads, and the field selector that keeps what it does not need away."""

    resource: Resource
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What one object's status must say, without times. How it joins what is there: `statuses.merged`."""

    resource: Resource
    namespace: str
    name: str
    desired: Object

    @property
    def key(self) -> str:
        """`namespace/name` or `name`."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Notice:
    """A Warning event that an object's users must see, once for as long as it stays true."""

    obj: Object
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Part:
    """One dialect's share of the model."""

    listeners: tuple[Listener, ...] = ()
    statuses: tuple[Status, ...] = ()
    notices: tuple[Notice, ...] = ()


class Dialect(Protocol):
    """One family of routing resources.

    `compile` is a function of the snapshot and of `rejected` alone: what Envoy refused, as its text by the owner of the
    listener (`Listener.owners`). It may remember results between calls; it raises nothing for what users write, but
    says it in a status.
    """

    @property
    def name(self) -> str:
        """Of the dialect, for messages."""

    @property
    def watched(self) -> tuple[Watched, ...]:
        """The resources it reads."""

    def compile(self, snapshot: Snapshot, rejected: dict[str, str]) -> Part:
        """The listeners and statuses of this dialect."""
