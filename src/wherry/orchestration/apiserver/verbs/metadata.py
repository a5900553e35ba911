"""What the server says about metadata: who gives uid and time, what a client may not change, when an object is done.

Spec:  upstream rest.BeforeCreate and rest.BeforeUpdate.
"""

from collections.abc import Callable
from copy import deepcopy
from uuid import uuid4

from wherry.kit.clock import Clock, rfc3339
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.names import generated_name
from wherry.orchestration.objects.meta import Object, name_of


def check_new(call: Call, obj: Object) -> None:
    """Namespace and name against the path; fills the namespace in."""
    metadata, resource = obj["metadata"], call.served.resource
    check_namespace(call, obj)
    if metadata.get("resourceVersion") not in (None, "", "0"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and not metadata.get("generateName"):
        cause = errors.cause("FieldValueRequired", "metadata.name", "Required value: name or generateName is required")
        raise errors.invalid(resource.group, resource.kind, "", [cause])


def check_namespace(call: Call, obj: Object) -> None:
    """The namespace of the object and of the path must agree."""
    metadata = obj["metadata"]
    if not call.served.resource.namespaced:
        if metadata.get("namespace"):
            metadata.pop("namespace")
        return
    if not call.namespace:
        raise errors.bad_request("an empty namespace may not be set during creation")
    if metadata.get("namespace") not in (None, "", call.namespace):
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = call.namespace


def stamp_new(obj: Object, clock: Clock) -> bool:
    """Give uid, creation time and, when there is none, a name. Return whether the name was made up."""
    metadata = obj["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink", "resourceVersion"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid4())
    metadata["creationTimestamp"] = rfc3339(clock.now())
    if metadata.get("name"):
        return False
    metadata["name"] = generated_name(metadata["generateName"])
    return True


def carry_over(call: Call, new: Object, old: Object) -> None:
    """System metadata is the server's: taken from `old`. Raise `ApiError` when `new` is about another object."""
    metadata, before = new["metadata"], old["metadata"]
    if metadata.setdefault("name", before["name"]) != before["name"]:
        raise errors.bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL "
                                 f"({before['name']})")
    check_namespace(call, new)
    metadata["uid"] = metadata.get("uid") or before["uid"]  # another one is refused by validation
    for name in ("creationTimestamp", "generation", "generateName", "resourceVersion"):
        if name in before:
            metadata[name] = before[name]
        elif name != "generateName":
            metadata.pop(name, None)
    if before.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = before["deletionTimestamp"]
    if metadata.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in before:
        metadata["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]
    metadata.pop("selfLink", None)


def replacing(call: Call, obj: Object) -> Callable[[Object], Object]:
    """The change of a PUT: `obj`, which may name the uid it is about. Raise `ApiError` 409 for another one."""
    def change(old: Object) -> Object:
        check_uid(call, obj, name_of(old), old["metadata"]["uid"])
        return deepcopy(obj)

    return change


def check_uid(call: Call, obj: Object, name: str, current: str) -> None:
    """The uid a PUT names is a precondition, also of creating: raise `ApiError` 409 when `current` ("": none) is another."""
    uid = obj["metadata"].get("uid")
    if uid and uid != current:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"
        raise errors.conflict(call.served.resource, name, why)


def check_revision(call: Call, obj: Object, newest: str) -> None:
    """Raise `ApiError` 409 for another revision than the newest, 422 for none ("" and "0") where the kind needs one."""
    revision, resource = obj["metadata"].get("resourceVersion") or "0", call.served.resource
    if revision not in ("0", newest):
        raise errors.conflict(resource, name_of(obj))
    if revision != "0" or call.served.strategy.takes_unconditional_update:
        return
    message = "Invalid value: 0: must be specified for an update"
    cause = errors.cause("FieldValueInvalid", "metadata.resourceVersion", message)
    raise errors.invalid(resource.group, resource.kind, name_of(obj), [cause])


def is_finished(obj: Object) -> bool:
    """Being deleted with nothing left to wait for: this update removes it."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1" and obj.get("spec", {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def without_news_of_time(new: Object, old: Object) -> Object:
    """`old` when nothing but the times of managedFields differs: applying the same again writes nothing.

    Spec: upstream's fieldmanager.IgnoreManagedFieldsTimestampsTransformer.
    """
    ours, theirs = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if not ours or not theirs or ours == theirs or len(ours) != len(theirs):
        return new
    if any({**a, "time": ""} != {**b, "time": ""} for a, b in zip(ours, theirs, strict=True)):
        return new
    candidate = {**new, "metadata": {**new["metadata"], "managedFields": theirs}}
    return old if candidate == old else new
