"""What must hold after every write to the store, and what must hold once all is quiet.

In:    each change of the store as it is made; each answer a component got; the engines.
Out:   `broken` is set; `first` says what was, with the last things that happened.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import orjson

from wherry.container.runtime.engine import State
from wherry.orchestration.client.transport import Call, Reply
from wherry.orchestration.controllers.deployment.numbers import max_surge
from wherry.orchestration.objects.meta import Object, condition_of, controller_of, is_deleting, name_of, namespace_of, uid_of
from wherry.orchestration.store.contract import Change
from wherry.testing.fake_engine import FakeEngine

KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "Node", "Service", "EndpointSlice",
         "PersistentVolumeClaim", "PersistentVolume")
FINAL = ("Succeeded", "Failed")
TRAIL = 60


@dataclass(slots=True)
class Invariants:
    """`objects` is the newest state by kind and `namespace/name`."""

    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    engines: dict[str, FakeEngine] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)  # uid of a Deployment -> most replicas its sets may ask for
    most: dict[str, int] = field(default_factory=dict)  # uid of a ReplicaSet -> most replicas it ever asked for
    unanswered: dict[str, int] = field(default_factory=dict)  # uid of an owner -> pods it may have made without knowing
    revisions: dict[str, set[int]] = field(default_factory=dict)  # uid -> revisions that were written
    leaders: dict[str, set[str]] = field(default_factory=dict)  # by Lease
    writes: int = 0
    answers: int = 0
    trail: deque[str] = field(default_factory=lambda: deque(maxlen=TRAIL))
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    now: Callable[[], datetime] = lambda: datetime.min
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    first: str = ""  # violation: told from within a component, which would take it for an error of its own

    def note(self, what: str) -> None:
        """Something happened that is worth to be told with a violation."""
        self.trail.append(f"{self.now():%d %H:%M:%S.%f} {what}")
        self.digest.update(what.encode())

    def changed(self, change: Change) -> None:
        """A write is done."""
        self.writes += 1
        value = change.value if change.value is not None else change.previous
        kind = next((kind for kind in KINDS if value is not None and value.startswith(b'{"kind":"%b",' % kind.encode())), "")
        self.digest.update(b"%d %b" % (change.revision, change.key.encode()))
        if value is not None and value[:8] == b'{"kind":':
            obj = orjson.loads(value)
            self.revisions.setdefault(uid_of(obj), set()).add(change.revision)
            if kind:
                self._apply(kind, obj, is_gone=change.value is None)

    def acknowledged(self, call: Call, reply: Reply) -> None:
        """A component was told that its write is done: then it is."""
        self.answers += 1
        if call.method == "GET" or reply.status not in (200, 201) or ("dryRun", "All") in call.query:
            return
        obj = orjson.loads(reply.body)
        metadata = obj.get("metadata") or {}
        revision = str(metadata.get("resourceVersion", ""))
        if obj.get("kind") in ("Status", "TokenRequest", "Eviction", "Binding") or not revision.isdecimal() or "uid" not in metadata:
            return
        if int(revision) not in self.revisions.get(metadata["uid"], set()):
            self.breaks(f"{call.method} {call.path} was acknowledged at revision {revision}, which was never written")

    def lost(self, call: Call) -> None:
        """A component does not know whether its call was done."""
        if call.method == "POST" and call.path.endswith("/pods"):
            owner = controller_of(orjson.loads(call.body)) or {}
            self.unanswered[owner.get("uid", "")] = self.unanswered.get(owner.get("uid", ""), 0) + 1

    @contextmanager
    def leading(self, lease: str, who: str) -> Iterator[None]:
        """`who` does the work that `lease` is for; nobody else does."""
        self.note(f"{who} leads {lease}")
        others = self.leaders.setdefault(lease, set())
        if others:
            self.breaks(f"{who} leads {lease} while {', '.join(sorted(others))} does")
        others.add(who)
        try:
            yield
        finally:
            others.discard(who)
            self.note(f"{who} leads no more")

    def breaks(self, text: str) -> None:
        """The first one ends the run."""
        self.first = self.first or "\n  ".join([text, *self.trail])
        self.broken.set()

    def _apply(self, kind: str, obj: Object, *, is_gone: bool) -> None:
        key = f"{namespace_of(obj)}/{name_of(obj)}"
        held = self.objects[kind]
        old = held.get(key)
        if is_gone:
            held.pop(key, None)
            self.note(f"{kind} {key} is gone")
        else:
            held[key] = obj
            if old is None or _summary(kind, old) != _summary(kind, obj):
                self.note(f"{kind} {key} {_summary(kind, obj)}")
        check = getattr(self, f"_check_{kind.lower()}", None)
        if check is not None:
            for text in check(old if old is not None and uid_of(old) == uid_of(obj) else None, obj, is_gone):
                self.breaks(text)

    def _check_pod(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        name = name_of(new)
        if old is None and not is_gone:
            yield from self._too_many((controller_of(new) or {}).get("uid", ""))
        if old is not None and not is_gone:
            was, now = old["spec"].get("nodeName"), new["spec"].get("nodeName")
            if was and was != now:
                yield f"pod {name} moved from {was} to {now}"
            phases = (old.get("status") or {}).get("phase"), (new.get("status") or {}).get("phase")
            if phases[0] in FINAL and phases[1] != phases[0]:
                yield f"pod {name} went from {phases[0]} to {phases[1]}"
            if is_deleting(old) and not is_deleting(new):
                yield f"pod {name} is not deleted any more"
        yield from self.twice()

    def _too_many(self, owner: str) -> Iterator[str]:
        """A ReplicaSet makes no more pods than it is to have, but for those it could not know of."""
        if owner in self.most:
            active = [pod for pod in self.objects["Pod"].values() if (controller_of(pod) or {}).get("uid") == owner
                      and not is_deleting(pod) and (pod.get("status") or {}).get("phase") not in FINAL]
            if len(active) > self.most[owner] + self.unanswered.get(owner, 0):
                yield f"{len(active)} pods of a ReplicaSet that wanted {self.most[owner]} at most"

    def twice(self) -> Iterator[str]:
        """No pod of a StatefulSet runs on two machines."""
        running: dict[str, str] = {}
        for node, engine in self.engines.items():
            for container in engine._containers.values():
                labels = container.config.labels
                pod = f"{labels.get('io.kubernetes.pod.namespace')}/{labels.get('io.kubernetes.pod.name')}"
                if container.status.state != State.RUNNING or not self._is_of_a_set(pod):
                    continue
                if running.setdefault(pod, node) != node:
                    yield f"pod {pod} of a StatefulSet runs on {running[pod]} and on {node}"

    def _is_of_a_set(self, pod: str) -> bool:
        found = self.objects["Pod"].get(pod)
        return found is not None and (controller_of(found) or {}).get("kind") == "StatefulSet"

    def _check_deployment(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        bound = int(new["spec"]["replicas"]) + max_surge(new)
        if is_gone:
            self.bounds.pop(uid_of(new), None)
        else:
            self.bounds[uid_of(new)] = max(bound, self.bounds.get(uid_of(new), 0))
        status = new.get("status") or {}
        if old is not None and status.get("observedGeneration", 0) < (old.get("status") or {}).get("observedGeneration", 0):
            yield f"deployment {name_of(new)}: observedGeneration went back"

    def _check_replicaset(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        owner = controller_of(new)
        self.most[uid_of(new)] = max(self.most.get(uid_of(new), 0), int(new["spec"]["replicas"]))
        if owner is None or is_gone or owner["uid"] not in self.bounds:
            return
        sets = [rs for rs in self.objects["ReplicaSet"].values() if (controller_of(rs) or {}).get("uid") == owner["uid"]]
        asked = sum(int(rs["spec"]["replicas"]) for rs in sets)
        grew = old is None or int(old["spec"]["replicas"]) < int(new["spec"]["replicas"])
        if grew and asked > self.bounds[owner["uid"]]:
            yield f"deployment {owner['name']} asks for {asked} pods, {self.bounds[owner['uid']]} are allowed"
        templates = [orjson.dumps(_plain_template(rs), option=orjson.OPT_SORT_KEYS) for rs in sets]
        if len(set(templates)) != len(templates):
            yield f"deployment {owner['name']} has two replica sets of one template"

    def _check_job(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        if old is None or is_gone:
            return
        was, now = old.get("status") or {}, new.get("status") or {}
        for count in ("succeeded", "failed"):
            if int(now.get(count) or 0) < int(was.get(count) or 0):
                yield f"job {name_of(new)}: {count} went from {was.get(count)} to {now.get(count)}"
        for kind in ("Complete", "Failed"):
            if _is_true(was, kind) and not _is_true(now, kind):
                yield f"job {name_of(new)} is not {kind} any more"

    def _check_service(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        taken: dict[object, str] = {}
        for key, service in self.objects["Service"].items():
            address = service["spec"].get("clusterIP")
            for unique in ([address] if address not in (None, "", "None") else []) + [
                    ("node port", p["nodePort"]) for p in service["spec"].get("ports") or () if p.get("nodePort")]:
                if taken.setdefault(unique, key) != key:
                    yield f"services {taken[unique]} and {key} have both {unique}"

    def _check_node(self, old: Object | None, new: Object, is_gone: bool) -> Iterator[str]:
        ranges = {name: ip_network(node["spec"]["podCIDR"]) for name, node in self.objects["Node"].items() if node["spec"].get("podCIDR")}
        names = sorted(ranges)
        for at, one in enumerate(names):
            for other in names[at + 1:]:
                if ranges[one].overlaps(ranges[other]):
                    yield f"nodes {one} and {other} have one range: {ranges[one]}"


def unsettled(world: Invariants) -> list[str]:
    """What is not as it was asked for. To be empty once nothing disturbs."""
    objects, found = world.objects, []
    pods = list(objects["Pod"].values())
    for key, one in objects["Deployment"].items():
        status, wanted = one.get("status") or {}, int(one["spec"]["replicas"])
        seen = tuple(int(status.get(n) or 0) for n in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"))
        if seen != (wanted,) * 4 or status.get("observedGeneration") != one["metadata"]["generation"]:
            found.append(f"deployment {key} wants {wanted}, status {seen}")
        sets = [rs for rs in objects["ReplicaSet"].values() if (controller_of(rs) or {}).get("uid") == uid_of(one)]
        if sum(int(rs["spec"]["replicas"]) for rs in sets) != wanted:
            found.append(f"deployment {key} wants {wanted}, its sets {[rs['spec']['replicas'] for rs in sets]}")
    for kind in ("ReplicaSet", "StatefulSet"):
        for key, one in objects[kind].items():
            wanted = int(one["spec"]["replicas"])
            owned = [pod for pod in pods if (controller_of(pod) or {}).get("uid") == uid_of(one)]
            ready = [pod for pod in owned if _is_true(pod.get("status") or {}, "Ready") and not is_deleting(pod)]
            if len(owned) != wanted or len(ready) != wanted or int((one.get("status") or {}).get("replicas") or 0) != wanted:
                found.append(f"{kind} {key} wants {wanted}, has {len(owned)}, {len(ready)} ready, status {one.get('status')}")
            names = sorted(map(name_of, owned))
            if kind == "StatefulSet" and names != sorted(f"{name_of(one)}-{n}" for n in range(wanted)):
                found.append(f"{kind} {key} has {names}")
    for key, one in objects["DaemonSet"].items():
        status, wanted = one.get("status") or {}, len(objects["Node"])
        if (status.get("desiredNumberScheduled"), status.get("numberReady"), status.get("updatedNumberScheduled")) != (wanted,) * 3:
            found.append(f"daemon set {key} on {wanted} nodes: {status}")
    for key, one in objects["Job"].items():
        if not any(_is_true(one.get("status") or {}, kind) for kind in ("Complete", "Failed")):
            found.append(f"job {key} has not ended: {one.get('status')}")
    found += [f"pod {key} is still being deleted" for key, pod in objects["Pod"].items() if is_deleting(pod)]
    found += [f"node {key}: {node['spec'].get('taints')}" for key, node in objects["Node"].items() if node["spec"].get("taints")]
    return found + list(_lost(objects)) + list(_unreached(objects)) + list(world.twice())


def _lost(objects: dict[str, dict[str, Object]]) -> Iterator[str]:
    """Whose owner is gone has gone too."""
    alive = {uid_of(obj) for held in objects.values() for obj in held.values()}
    for kind in ("ReplicaSet", "Pod", "Job", "EndpointSlice"):
        for key, obj in objects[kind].items():
            owner = controller_of(obj)
            if owner is not None and owner["kind"] in KINDS and owner["uid"] not in alive:
                yield f"{kind} {key} outlived its owner {owner['kind']} {owner['name']}"


def _unreached(objects: dict[str, dict[str, Object]]) -> Iterator[str]:
    """The endpoints of a Service are the addresses of its ready pods."""
    for key, service in objects["Service"].items():
        selector = service["spec"].get("selector")
        if not selector:
            continue
        wanted = sorted(
            pod["status"]["podIP"] for pod in objects["Pod"].values()
            if selector.items() <= (pod["metadata"].get("labels") or {}).items() and (pod.get("status") or {}).get("podIP")
            and pod["status"].get("phase") not in FINAL)
        slices = [s for s in objects["EndpointSlice"].values()
                  if s["metadata"]["labels"].get("kubernetes.io/service-name") == name_of(service)]
        seen = sorted(address for s in slices for e in s.get("endpoints") or () for address in e["addresses"])
        if seen != wanted:
            yield f"service {key} has endpoints {seen}, its pods {wanted}"


def _plain_template(rs: Object) -> Object:
    template: Object = rs["spec"]["template"]
    labels = {k: v for k, v in (template["metadata"].get("labels") or {}).items() if k != "pod-template-hash"}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _is_true(status: Object, kind: str) -> bool:
    return (condition_of(status.get("conditions"), kind) or {}).get("status") == "True"


def _summary(kind: str, obj: Object) -> str:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    shown: dict[str, Any] = {"revision": obj["metadata"].get("generation"), "deleting": is_deleting(obj) or None}
    match kind:
        case "Pod":
            shown |= {"node": spec.get("nodeName"), "phase": status.get("phase"), "ready": _is_true(status, "Ready")}
        case "Node":
            shown |= {"taints": [t["key"] for t in spec.get("taints") or ()] or None, "ready": _is_true(status, "Ready")}
        case "Deployment" | "ReplicaSet" | "StatefulSet":
            shown |= {"wants": spec.get("replicas"), "has": status.get("replicas"), "ready": status.get("readyReplicas")}
        case "Job":
            shown |= {name: status.get(name) for name in ("active", "succeeded", "failed")}
    return " ".join(f"{name}={value}" for name, value in shown.items() if value not in (None, ""))
