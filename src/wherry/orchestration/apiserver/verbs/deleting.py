"""DELETE: preconditions, grace, finalizers and propagation; and deletion of a selected collection.

Spec:  https://kubernetes.io/docs/concepts/architecture/garbage-collection/ ; upstream rest.BeforeDelete and
       registry.Store.Delete.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from wherry.kit.clock import parse_rfc3339, rfc3339
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import DELETE, AdmissionRequest
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.codec import encode, with_revision
from wherry.orchestration.apiserver.verbs.writer import RETRIES_MAX, Writer
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import RevisionMismatch

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
PROPAGATION_POLICIES = ("Background", "Foreground", "Orphan")
ORPHANED_BY_DEFAULT = {("", "replicationcontrollers"), ("batch", "jobs")}
# Upstream warns of Jobs alone.
JOB_PODS_STAY = ("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them "
                 "or set propagationPolicy=Orphan to suppress this warning")


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What the body and the query of a DELETE say."""

    grace_s: int | None = None
    uid: str = ""
    revision: str = ""
    propagation: str = ""
    orphan: bool | None = None
    raw: Object = field(default_factory=dict)


class Deleted(NamedTuple):
    """The last state, and whether it is gone (else it waits for grace or finalizers)."""

    cached: Cached
    is_gone: bool


def read_options(body: Object, query: Object) -> DeleteOptions:
    """From a decoded DeleteOptions body, overridden by query parameters. Raise `ApiError` for contradictions."""
    preconditions = body.get("preconditions") or {}
    merged = {**body, **query}
    grace = merged.get("gracePeriodSeconds")
    propagation = merged.get("propagationPolicy") or ""
    orphan = merged.get("orphanDependents")
    causes = []
    if propagation and orphan is not None:
        message = "Invalid value: orphanDependents and deletionPropagation cannot be both set"
        causes.append(errors.cause("FieldValueInvalid", "propagationPolicy", message))
    elif propagation and propagation not in PROPAGATION_POLICIES:
        message = (f'Unsupported value: "{propagation}": supported values: "Foreground", "Background", "Orphan", "nil"')
        causes.append(errors.cause("FieldValueNotSupported", "propagationPolicy", message))
    if causes:
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", causes)
    return DeleteOptions(
        None if grace is None else int(grace), preconditions.get("uid") or "",
        preconditions.get("resourceVersion") or "", propagation, orphan, merged)


class Deleter:
    """Deletes single objects and collections."""

    def __init__(self, writer: Writer) -> None:
        self._registry = writer.registry
        self._chain = writer.chain
        self._clock = writer.clock

    async def delete(self, call: Call, name: str, options: DeleteOptions) -> Deleted:
        """Raise `ApiError` 404, or 409 when a precondition does not hold."""
        served = call.served
        key = served.key(call.namespace, name)
        if served.resource.kind == "Job" and not served.is_custom and not options.propagation and options.orphan is None:
            call.warn(JOB_PODS_STAY)
        for attempt in range(RETRIES_MAX):
            current = await self._registry.read(served.cache, key)
            if current is None:
                raise errors.not_found(served.resource, name)
            obj = served.obj(current)
            _check_preconditions(call, obj, options)
            if attempt == 0:
                await self._admit(call, name, obj, options)
            try:
                return await self._delete(call, key, current, obj, options)
            except RevisionMismatch:
                continue
        raise errors.conflict(served.resource, name)

    async def _admit(self, call: Call, name: str, obj: Object, options: DeleteOptions) -> None:
        request = AdmissionRequest(
            DELETE, call.served.resource, call.namespace, name, "", call.user, None, obj, is_dry_run=call.dry_run,
            options=options.raw, warnings=call.warnings)
        await self._chain.admit(request)
        await self._chain.validate(request)

    async def _delete(self, call: Call, key: str, current: Cached, obj: Object, options: DeleteOptions) -> Deleted:
        served = call.served
        pending = self._mark(call, obj, options)
        if pending is None:
            if not call.dry_run:
                revision = await self._registry.delete(served.cache, key, expected=current.revision)
                await served.strategy.released(obj)
                current = Cached(key, with_revision(encode(served.stored(obj)), revision), revision, current.created)
            return Deleted(current, True)
        if pending == served.obj(current):
            return Deleted(current, False)
        if call.dry_run:
            data = with_revision(encode(served.stored(pending)), current.revision)
            return Deleted(Cached(key, data, current.revision, current.created), False)
        written = await self._registry.put(
            served.cache, key, served.stored(pending), expected=current.revision, created=current.created)
        return Deleted(written, False)

    def _mark(self, call: Call, obj: Object, options: DeleteOptions) -> Object | None:
        """The object with its deletion noted, or None when it may go at once. Changes `obj`."""
        metadata, strategy = obj["metadata"], call.served.strategy
        finalizers = _finalizers(call, obj, options)
        if not metadata.get("deletionTimestamp"):
            finalizers += [name for name in strategy.delete_finalizers() if name not in finalizers]
        if finalizers != list(metadata.get("finalizers") or ()):
            metadata["finalizers"] = finalizers
        grace_s = strategy.grace_s(obj, options.grace_s)
        must_wait = bool(finalizers) or bool(_spec_finalizers(obj))
        if metadata.get("deletionTimestamp"):
            return self._shorten(obj, grace_s, must_wait)
        if not grace_s and not must_wait:
            return None
        metadata["deletionTimestamp"] = rfc3339(self._clock.now() + timedelta(seconds=grace_s or 0))
        metadata["deletionGracePeriodSeconds"] = grace_s or 0
        if metadata.get("generation"):
            metadata["generation"] += 1
        strategy.on_delete(obj)
        return obj

    def _shorten(self, obj: Object, grace_s: int | None, must_wait: bool) -> Object | None:
        """A second delete may only bring the end nearer."""
        metadata = obj["metadata"]
        left_s = metadata.get("deletionGracePeriodSeconds") or 0
        if not must_wait and (not grace_s or not left_s):
            return None
        if grace_s is not None and grace_s < left_s:
            began = parse_rfc3339(metadata["deletionTimestamp"]) - timedelta(seconds=left_s)
            metadata["deletionTimestamp"] = rfc3339(max(began + timedelta(seconds=grace_s), self._clock.now()))
            metadata["deletionGracePeriodSeconds"] = grace_s
        return obj


def _check_preconditions(call: Call, obj: Object, options: DeleteOptions) -> None:
    metadata, why = obj["metadata"], ""
    if options.uid and options.uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {metadata['uid']}"
    elif options.revision and options.revision != metadata["resourceVersion"]:
        why = (f"Precondition failed: ResourceVersion in precondition: {options.revision}, ResourceVersion in object "
               f"meta: {metadata['resourceVersion']}")
    if why:
        raise errors.conflict(call.served.resource, metadata["name"], why)


def _spec_finalizers(obj: Object) -> list[str]:
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1":
        return obj.get("spec", {}).get("finalizers") or []
    return []


def _finalizers(call: Call, obj: Object, options: DeleteOptions) -> list[str]:
    """Those of the object, with the ones of the garbage collector set as the options say."""
    existing = list(obj["metadata"].get("finalizers") or ())
    place = (call.served.resource.group, call.served.resource.plural)
    if options.orphan is not None:
        orphans, foreground = options.orphan, False
    elif options.propagation:
        orphans, foreground = options.propagation == "Orphan", options.propagation == "Foreground"
    elif ORPHAN in existing or FOREGROUND in existing:
        orphans, foreground = ORPHAN in existing, FOREGROUND in existing and ORPHAN not in existing
    else:
        orphans, foreground = place in ORPHANED_BY_DEFAULT, False
    kept = [name for name in existing if name not in (ORPHAN, FOREGROUND)]
    wanted = [name for name, wish in ((ORPHAN, orphans), (FOREGROUND, foreground)) if wish]
    return existing if sorted(kept + wanted) == sorted(existing) else kept + wanted
