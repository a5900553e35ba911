"""The ConfigMaps and Secrets that this node's pods name: fetched once, then watched by name while a pod uses them.

In:    pods. Out: `PodReferences`, a snapshot for pure code; `changed(uid)` when something a pod names changed.
Why one watch a name: the node authorizer lets a node read only what its pods name.
"""

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from wherry.container.image.service import Credentials
from wherry.kit.errors import NotFound, first_of
from wherry.kit.supervise import keep_running
from wherry.orchestration.agent.facts.pod import all_containers, spec_of
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.objects.kinds import CONFIG_MAPS, SECRETS
from wherry.orchestration.objects.meta import Object, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

Key = tuple[str, str, str]  # plural, namespace, name


@dataclass(frozen=True, slots=True)
class PodReferences:
    """What one pod names, as it was when asked for. A name that is absent does not exist."""

    config_maps: dict[str, Object] = field(default_factory=dict)
    secrets: dict[str, Object] = field(default_factory=dict)

    def config_map(self, name: str) -> Object | None:
        """See `environment.References`."""
        return self.config_maps.get(name)

    def secret(self, name: str) -> Object | None:
        """See `environment.References`."""
        return self.secrets.get(name)


@dataclass(slots=True)
class _Watched:
    informer: Informer
    tasks: tuple[asyncio.Task[None], ...]


class ReferencedObjects:
    """`run()` owns the watches; `fetch` works without it, only slower and without news."""

    def __init__(self, client: Client, changed: Callable[[str], None]) -> None:
        self._client = client
        self._changed = changed
        self._users: dict[Key, set[str]] = {}
        self._resources: dict[str, Resource] = {r.plural: r for r in (CONFIG_MAPS, SECRETS)}
        self._watched: dict[Key, _Watched] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled. After a failure the watches that pods need begin anew."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for key in self._users:
                self._begin(key, tasks)
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None
                self._watched.clear()

    async def fetch(self, pod: Object) -> PodReferences:
        """All of them at once; raises what the client raises, except that NotFound leaves a name out."""
        return await self._fetch(pod, *names_used(pod))

    async def fetch_pull_secrets(self, pod: Object) -> PodReferences:
        """Those of imagePullSecrets only."""
        names = {str(entry.get("name", "")) for entry in spec_of(pod).get("imagePullSecrets") or ()}
        return await self._fetch(pod, set(), names - {""})

    async def _fetch(self, pod: Object, config_maps: set[str], secrets: set[str]) -> PodReferences:
        found = PodReferences()
        wanted = [(CONFIG_MAPS, name, found.config_maps) for name in sorted(config_maps)]
        wanted += [(SECRETS, name, found.secrets) for name in sorted(secrets)]
        missing = [entry for entry in wanted if not self._from_cache(entry[0], entry[1], pod, entry[2])]
        if missing:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for resource, name, into in missing:
                        tasks.create_task(self._get(resource, name, namespace_of(pod), into), name=f"get {name}")
            except ExceptionGroup as group:
                raise first_of(group) from group  # callers know single errors
            for resource, name, _ in missing:
                self._watch((resource.plural, namespace_of(pod), name), uid_of(pod))
        return found

    def release(self, uid: str) -> None:
        """The pod is gone: end the watches that nobody else needs."""
        for key in [key for key, users in self._users.items() if uid in users]:
            self._users[key].discard(uid)
            if self._users[key]:
                continue
            del self._users[key]
            if (watched := self._watched.pop(key, None)) is not None:
                for task in watched.tasks:
                    task.cancel()

    def _from_cache(self, resource: Resource, name: str, pod: Object, into: dict[str, Object]) -> bool:
        watched = self._watched.get((resource.plural, namespace_of(pod), name))
        if watched is None:
            return False
        self._users[(resource.plural, namespace_of(pod), name)].add(uid_of(pod))
        if not watched.informer.synced:
            return False
        if (found := watched.informer.get(f"{namespace_of(pod)}/{name}")) is not None:
            into[name] = found
        return True

    async def _get(self, resource: Resource, name: str, namespace: str, into: dict[str, Object]) -> None:
        try:
            into[name] = await self._client.get(resource, name, namespace)
        except NotFound:
            return

    def _watch(self, key: Key, uid: str) -> None:
        self._users.setdefault(key, set()).add(uid)
        if self._tasks is not None and key not in self._watched:
            self._begin(key, self._tasks)

    def _begin(self, key: Key, tasks: asyncio.TaskGroup) -> None:
        plural, namespace, name = key
        resource, label = self._resources[plural], f"watch {plural} {namespace}/{name}"
        informer = Informer(self._client, resource, namespace, fields=f"metadata.name={name}")
        informer.subscribe(lambda old, new: self._note(key))
        watching = tasks.create_task(keep_running(label, informer.run), name=label)
        syncing = tasks.create_task(self._note_synced(key, informer), name=f"sync {label}")
        self._watched[key] = _Watched(informer, (watching, syncing))

    async def _note_synced(self, key: Key, informer: Informer) -> None:
        """What changed between the GET and the first list is news too."""
        await informer.wait_synced()
        self._note(key)

    def _note(self, key: Key) -> None:
        watched = self._watched.get(key)
        if watched is not None and watched.informer.synced:
            for uid in tuple(self._users.get(key, ())):
                self._changed(uid)


def names_used(pod: Object) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and Secrets that the pod's volumes and containers name."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for volume in spec_of(pod).get("volumes") or ():
        parts = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for part in parts:
            if part.get("configMap"):
                config_maps.add(str(part["configMap"].get("name", "")))
            if part.get("secret"):
                secrets.add(str(part["secret"].get("secretName") or part["secret"].get("name") or ""))
    for _, container in all_containers(pod):
        for entry in container.get("envFrom") or ():
            config_maps.add(str((entry.get("configMapRef") or {}).get("name", "")))
            secrets.add(str((entry.get("secretRef") or {}).get("name", "")))
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            config_maps.add(str((source.get("configMapKeyRef") or {}).get("name", "")))
            secrets.add(str((source.get("secretKeyRef") or {}).get("name", "")))
    return config_maps - {""}, secrets - {""}


def pull_credentials(pod: Object, references: PodReferences) -> tuple[tuple[str, Credentials], ...]:
    """(registry host, credentials) of imagePullSecrets; unreadable ones are left out."""
    found: list[tuple[str, Credentials]] = []
    for entry in spec_of(pod).get("imagePullSecrets") or ():
        secret = references.secret(str(entry.get("name", "")))
        if secret is not None:
            found += _credentials_in(secret)
    return tuple(found)


def _credentials_in(secret: Object) -> list[tuple[str, Credentials]]:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            entries = json.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        else:
            entries = json.loads(base64.b64decode(data.get(".dockercfg", "e30=")))
        return [(_host(name), _credentials(entry)) for name, entry in entries.items()]
    except (ValueError, binascii.Error, AttributeError, TypeError):
        return []


def _host(name: str) -> str:
    host: str = name.removeprefix("https://").removeprefix("http://").split("/")[0]
    return "docker.io" if host == "index.docker.io" else host


def _credentials(entry: Object) -> Credentials:
    if entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return Credentials(username, password)
    return Credentials(str(entry.get("username", "")), str(entry.get("password", "")))
