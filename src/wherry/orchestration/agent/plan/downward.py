"""The downward API: fields of the pod and its resources as strings. Pure.

Spec: core/v1 ObjectFieldSelector and ResourceFieldSelector; values round up to the divisor; a limit that is not set
      is the node's allocatable amount.
"""

import re
from collections.abc import Mapping

from wherry.kit.errors import Invalid
from wherry.orchestration.agent.facts.pod import container_named, spec_of, status_of
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, annotations_of, labels_of, name_of, namespace_of, uid_of

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$")


def field_value(pod: Object, path: str) -> str:
    """The value of a fieldRef. Raise `Invalid` for a path that is not offered."""
    if match := _SUBSCRIPT.match(path):
        found = labels_of(pod) if match.group(1) == "labels" else annotations_of(pod)
        return str(found.get(match.group(2), ""))
    status = status_of(pod)
    match path:
        case "metadata.name":
            return name_of(pod)
        case "metadata.namespace":
            return namespace_of(pod)
        case "metadata.uid":
            return uid_of(pod)
        case "metadata.labels":
            return formatted(labels_of(pod))
        case "metadata.annotations":
            return formatted(annotations_of(pod))
        case "spec.nodeName":
            return str(spec_of(pod).get("nodeName", ""))
        case "spec.serviceAccountName":
            return str(spec_of(pod).get("serviceAccountName", ""))
        case "status.podIP":
            return str(status.get("podIP", ""))
        case "status.hostIP":
            return str(status.get("hostIP", ""))
        case "status.podIPs":
            return ",".join(str(entry.get("ip", "")) for entry in status.get("podIPs") or ())
        case "status.hostIPs":
            return ",".join(str(entry.get("ip", "")) for entry in status.get("hostIPs") or ())
    raise Invalid(f"unsupported fieldPath: {path}")


def formatted(pairs: Mapping[str, str]) -> str:
    """Labels or annotations as a file: `key="escaped value"`, one a line, sorted."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(pairs.items()))


def resource_value(pod: Object, selector: Object, *, container: str, allocatable: Mapping[str, str]) -> str:
    """The value of a resourceFieldRef. Raise `Invalid` for an unknown resource or container."""
    name = str(selector.get("containerName") or container)
    found = container_named(pod, name)
    if found is None:
        raise Invalid(f"container {name} not found")
    where, _, resource = str(selector.get("resource", "")).partition(".")
    if where not in ("limits", "requests") or not resource:
        raise Invalid(f"unsupported container resource : {selector.get('resource')}")
    resources = found.get("resources") or {}
    amount = (resources.get(where) or {}).get(resource)
    if amount is None and where == "limits" and resource in ("cpu", "memory", "ephemeral-storage"):
        amount = allocatable.get(resource)
    if amount is None and where == "requests":
        amount = (resources.get("limits") or {}).get(resource)
    return _in_units(str(amount or "0"), str(selector.get("divisor") or "0"), resource)


def _in_units(amount: str, divisor: str, resource: str) -> str:
    if resource == "cpu":
        unit = quantity.milli(divisor) or 1000
        return str(-(-quantity.milli(amount) // unit))
    unit = quantity.value(divisor) or 1
    return str(-(-quantity.value(amount) // unit))


def _quoted(text: str) -> str:
    """As Go's strconv.Quote writes it."""
    escapes = {
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        "\t": "\\t",
        "\r": "\\r",
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\v": "\\v",
    }
    parts = []
    for char in text:
        if char in escapes:
            parts.append(escapes[char])
        elif char.isprintable():
            parts.append(char)
        elif ord(char) < 0x80:
            parts.append(f"\\x{ord(char):02x}")
        else:
            parts.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return f'"{"".join(parts)}"'
