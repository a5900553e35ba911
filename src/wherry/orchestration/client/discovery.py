"""What a server serves now, built in, custom and aggregated, and how many replicas an object of any kind wants.

In:    GET /api and /apis as APIGroupDiscoveryList (apidiscovery.k8s.io/v2); the scale subresource.
Out:   a `Resource` per group and plural, in the version the server prefers; group-versions whose server does not answer.
Spec:  https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api ; autoscaling/v1 Scale.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.errors import from_reply
from wherry.orchestration.objects.meta import Object, name_of, uid_of
from wherry.orchestration.objects.resources import Resource

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PATHS = ("/api", "/apis")
FRESH_S = 10.0  # what was found is believed for so long, and what was not for a tenth of it


@dataclass(frozen=True, slots=True)
class Discovered:
    """`stale`: `group/version`s that are known to be served by somebody who does not answer."""

    resources: tuple[Resource, ...] = ()
    stale: tuple[str, ...] = ()

    def of_kind(self, group: str, kind: str) -> Resource | None:
        """By group and kind, in the preferred version."""
        return next((found for found in self.resources if (found.group, found.kind) == (group, kind)), None)


def read(documents: Iterable[Object]) -> Discovered:
    """From the two documents. Pure."""
    found: dict[tuple[str, str], Resource] = {}
    stale: list[str] = []
    for group in (item for document in documents for item in document.get("items") or ()):
        name = name_of(group)
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                stale.append(f"{name}/{version['version']}" if name else version["version"])
            for resource in _resources(name, version):
                found.setdefault((resource.group, resource.plural), resource)
    return Discovered(tuple(found.values()), tuple(stale))


async def discover(client: Client) -> Discovered:
    """Ask. Raise the error of the answer."""
    documents = []
    for path in PATHS:
        reply = await client.request("GET", path, headers={"accept": ACCEPT})
        if reply.status != 200:
            raise from_reply(reply.status, reply.body)
        documents.append(orjson.loads(reply.body))
    return read(documents)


class Kinds:
    """Looks kinds up, and asks the server for those it does not know."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known = Discovered()
        self._asked_at: float | None = None

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an owner reference or a scale target; None when nobody serves it."""
        group = api_version.rpartition("/")[0]
        found = self._known.of_kind(group, kind)
        now = asyncio.get_running_loop().time()
        if self._asked_at is None or now >= self._asked_at + (FRESH_S if found else FRESH_S / 10):
            self._known, self._asked_at = await discover(self._client), now
            found = self._known.of_kind(group, kind)
        return found


async def replicas_of(client: Client, resource: Resource, owner: Object, namespace: str) -> int | None:
    """What the scale of an owner reference's object says; None when it, or its scale, is not there or another's."""
    try:
        scale = await client.get(resource, owner["name"], namespace, subresource="scale")
    except NotFound:
        return None
    if uid_of(scale) not in ("", owner["uid"]):
        return None
    return int((scale.get("spec") or {}).get("replicas") or 0)


def _resources(group: str, version: Object) -> Iterator[Resource]:
    for entry in version.get("resources") or ():
        kind = (entry.get("responseKind") or {}).get("kind") or ""
        yield Resource(
            group, version["version"], kind, entry["resource"], entry.get("singularResource") or "",
            entry.get("scope") == "Namespaced", verbs=tuple(entry.get("verbs") or ()),
            subresources=tuple(sub["subresource"] for sub in entry.get("subresources") or ()))
