"""The environment of a container: Services, envFrom, env, in this order; later ones win. Pure.

In:    pod, container and the ConfigMaps, Secrets and Services it names, already fetched.
Out:   the variables in order, plus the keys of envFrom that cannot be variable names.
Spec:  core/v1 EnvVar, EnvFromSource; names of Service variables as Docker links had them.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wherry.kit.errors import Invalid
from wherry.orchestration.agent.facts.pod import spec_of
from wherry.orchestration.agent.plan.downward import field_value, resource_value
from wherry.orchestration.agent.plan.expansion import expand
from wherry.orchestration.objects.meta import Object, name_of, namespace_of


class References(Protocol):
    """The objects a pod names, fetched beforehand; None: does not exist."""

    def config_map(self, name: str) -> Object | None:
        """A ConfigMap of the pod's namespace."""

    def secret(self, name: str) -> Object | None:
        """A Secret of the pod's namespace."""


@dataclass(frozen=True, slots=True)
class Environment:
    """`variables` in the order of first definition; `skipped`: one message per envFrom with unusable keys."""

    variables: dict[str, str]
    skipped: tuple[str, ...] = ()


def build(
    pod: Object,
    container: Object,
    references: References,
    *,
    services: Iterable[Object],
    allocatable: Mapping[str, str],
) -> Environment:
    """Raise `Invalid` with upstream's text when something that is not optional is missing."""
    links = bool(spec_of(pod).get("enableServiceLinks", True))
    variables = service_variables(services, namespace_of(pod), links=links)
    skipped = _add_env_from(variables, container, references, namespace_of(pod))
    for entry in container.get("env") or ():
        value = _value_of(entry, pod, container, references, variables, allocatable)
        if value is not None:
            variables[str(entry["name"])] = value
    return Environment(variables, tuple(skipped))


def service_variables(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """Variables of the Services of `namespace` (with `links`) and of `default/kubernetes` always."""
    chosen: dict[str, Object] = {}
    for service in services:
        is_api = namespace_of(service) == "default" and name_of(service) == "kubernetes"
        in_namespace = links and namespace_of(service) == namespace
        if (is_api or in_namespace) and (in_namespace or name_of(service) not in chosen):
            chosen[name_of(service)] = service
    result: dict[str, str] = {}
    for name in sorted(chosen):
        result.update(_variables_of(chosen[name]))
    return result


def _variables_of(service: Object) -> dict[str, str]:
    spec = service.get("spec") or {}
    address, ports = str(spec.get("clusterIP") or ""), spec.get("ports") or []
    if address in ("", "None") or not ports:
        return {}
    prefix = _variable_name(name_of(service))
    result = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{_variable_name(port['name'])}"] = str(port["port"])
    host = f"[{address}]" if ":" in address else address
    for index, port in enumerate(ports):
        protocol = str(port.get("protocol") or "TCP")
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            result[f"{prefix}_PORT"] = url
        stem = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        result |= {
            stem: url,
            f"{stem}_PROTO": protocol.lower(),
            f"{stem}_PORT": str(port["port"]),
            f"{stem}_ADDR": address,
        }
    return result


def _variable_name(text: str) -> str:
    return text.upper().replace("-", "_")


def _add_env_from(variables: dict[str, str], container: Object, references: References, namespace: str) -> list[str]:
    skipped = []
    for source in container.get("envFrom") or ():
        kind, data = _env_from_data(source, references, namespace)
        prefix, bad = str(source.get("prefix") or ""), []
        for key in sorted(data):
            name = prefix + key
            if _is_variable_name(name):
                variables[name] = data[key]
            else:
                bad.append(name)
        if bad:
            named = f"{namespace}/{(source.get('configMapRef') or source.get('secretRef') or {}).get('name', '')}"
            keys = ", ".join(bad)
            skipped.append(
                f"Keys [{keys}] from the EnvFrom {kind} {named} were skipped since they are considered invalid "
                "environment variable names."
            )
    return skipped


def _env_from_data(source: Object, references: References, namespace: str) -> tuple[str, dict[str, str]]:
    if (reference := source.get("configMapRef")) is not None:
        found = references.config_map(str(reference.get("name", "")))
        if found is None and not reference.get("optional"):
            raise Invalid(f'configmap "{reference.get("name")}" not found')
        return "configMap", dict((found or {}).get("data") or {})
    if (reference := source.get("secretRef")) is not None:
        found = references.secret(str(reference.get("name", "")))
        if found is None and not reference.get("optional"):
            raise Invalid(f'secret "{reference.get("name")}" not found')
        data = (found or {}).get("data") or {}
        return "secret", {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
    return "", {}


def _is_variable_name(name: str) -> bool:
    """KEP-4369: any printable ASCII but `=`."""
    return bool(name) and all(0x20 <= ord(char) < 0x7F and char != "=" for char in name)


def _value_of(
    entry: Object,
    pod: Object,
    container: Object,
    references: References,
    variables: dict[str, str],
    allocatable: Mapping[str, str],
) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), variables.get)
    if reference := source.get("fieldRef"):
        return field_value(pod, str(reference.get("fieldPath", "")))
    if reference := source.get("resourceFieldRef"):
        return resource_value(pod, reference, container=str(container["name"]), allocatable=allocatable)
    if reference := source.get("configMapKeyRef"):
        return _config_map_key(reference, references, namespace_of(pod))
    if reference := source.get("secretKeyRef"):
        return _secret_key(reference, references, namespace_of(pod))
    raise Invalid(
        f"env {entry.get('name')!r}: this valueFrom is not offered; use fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef"
    )


def _config_map_key(reference: Object, references: References, namespace: str) -> str | None:
    name, key, optional = str(reference.get("name", "")), str(reference.get("key", "")), bool(reference.get("optional"))
    found = references.config_map(name)
    if found is None:
        if optional:
            return None
        raise Invalid(f'configmap "{name}" not found')
    value = (found.get("data") or {}).get(key)
    if value is None and not optional:
        raise Invalid(f"couldn't find key {key} in ConfigMap {namespace}/{name}")
    return value


def _secret_key(reference: Object, references: References, namespace: str) -> str | None:
    name, key, optional = str(reference.get("name", "")), str(reference.get("key", "")), bool(reference.get("optional"))
    found = references.secret(name)
    if found is None:
        if optional:
            return None
        raise Invalid(f'secret "{name}" not found')
    value = (found.get("data") or {}).get(key)
    if value is None:
        if optional:
            return None
        raise Invalid(f"couldn't find key {key} in Secret {namespace}/{name}")
    return base64.b64decode(value).decode(errors="replace")
