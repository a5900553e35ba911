"""A Pod as sandboxes and containers: the one place where Kubernetes' words become the engine's. Pure.

In:    the pod (status.podIP already known), its environment, image and mount sources, the node's settings.
Out:   `SandboxConfig` and `ContainerConfig`, complete.
Never: reads files or asks the API; `pod/container_start.py` collects what is needed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.container.image.service import Image
from wherry.container.runtime.engine import ContainerConfig, Mount, PortMapping, SandboxConfig
from wherry.kit.errors import Invalid
from wherry.orchestration.agent.facts.labels import (
    ATTEMPT,
    CONTAINER_NAME,
    GRACE,
    IMAGE_REF,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    SPEC_HASH,
    TERMINATION_PATH,
)
from wherry.orchestration.agent.facts.pod import (
    app_containers,
    grace_s,
    init_containers,
    is_host_network,
    is_sidecar,
    log_folder,
    spec_of,
)
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.plan import names, qos, security
from wherry.orchestration.agent.plan.expansion import expand_all
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

CONTAINER_ID_LENGTH = 32

_ALWAYS_READ_ONLY = ("configMap", "secret", "downwardAPI", "projected", "image")
_PROPAGATION = {"None": "private", "HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True, slots=True)
class ContainerInputs:
    """What one start of a container needs beyond the pod: all of it already fetched or made."""

    image: Image
    environment: Mapping[str, str]
    mount_sources: Sequence[str]  # one a volumeMount, same order
    hosts_path: str
    resolv_path: str
    hostname_path: str
    termination_path: str  # file on the machine, "" : none
    memory_capacity_bytes: int


def sandbox_id(pod: Object, attempt: int) -> str:
    """Unique per pod and attempt, so that a retry finds what it left."""
    return f"{uid_of(pod)}-{attempt}"


def container_id(pod: Object, name: str, attempt: int) -> str:
    """32 hex digits: unique per pod, container and attempt; short enough for socket paths."""
    return hashlib.sha256(f"{uid_of(pod)}/{name}/{attempt}".encode()).hexdigest()[:CONTAINER_ID_LENGTH]


def sandbox_config(pod: Object, attempt: int, settings: AgentSettings) -> SandboxConfig:
    """Raise `Invalid` when setHostnameAsFQDN gives a name the kernel cannot hold."""
    spec = spec_of(pod)
    host = names.kernel_hostname(pod, settings.cluster_domain, node_name=settings.node_name)
    if len(host) > names.FQDN_MAX:
        raise Invalid(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {host} is too long "
            f"({names.FQDN_MAX} characters is the max, {len(host)} characters requested)"
        )
    return SandboxConfig(
        id=sandbox_id(pod, attempt),
        hostname=host,
        cgroup_parent=qos.cgroup_parent(pod, settings.cgroup_root),
        host_network=is_host_network(pod),
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        shared_pid=bool(spec.get("shareProcessNamespace")),
        sysctls=security.sysctls(pod),
        port_mappings=() if is_host_network(pod) else port_mappings(pod),
        resources=qos.pod_resources(pod, pids_max=settings.pod_pids_max),
        labels={
            POD_NAME: name_of(pod),
            POD_NAMESPACE: namespace_of(pod),
            POD_UID: uid_of(pod),
            ATTEMPT: str(attempt),
            GRACE: str(int(grace_s(pod))),
        },
    )


def port_mappings(pod: Object) -> tuple[PortMapping, ...]:
    """hostPorts of app containers and sidecars."""
    return tuple(
        PortMapping(
            protocol=str(port.get("protocol") or "TCP").lower(),
            container_port=int(port["containerPort"]),
            host_port=int(port["hostPort"]),
            host_ip=str(port.get("hostIP") or ""),
        )
        for container in (*filter(is_sidecar, init_containers(pod)), *app_containers(pod))
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def container_config(
    pod: Object, container: Object, inputs: ContainerInputs, *, attempt: int, sandbox: str, settings: AgentSettings
) -> ContainerConfig:
    """Raise `Invalid` when the security context is not kept."""
    name = str(container["name"])
    return ContainerConfig(
        id=container_id(pod, name, attempt),
        sandbox_id=sandbox,
        name=name,
        attempt=attempt,
        image=inputs.image.id,
        log_path=log_path(pod, name, attempt, settings),
        command=expand_all(container.get("command"), inputs.environment),
        args=expand_all(container.get("args"), inputs.environment),
        env=tuple(inputs.environment.items()),
        working_dir=str(container.get("workingDir") or ""),
        mounts=mounts(container, inputs, read_only_volumes(pod)),
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        resources=qos.container_resources(pod, container, memory_capacity_bytes=inputs.memory_capacity_bytes),
        security=security.container_security(
            pod, container, inputs.image, seccomp_default=settings.seccomp_default, seccomp_dir=settings.seccomp_dir
        ),
        stop_signal=str((container.get("lifecycle") or {}).get("stopSignal") or ""),
        target_container=_target(pod, container),
        labels={
            POD_NAME: name_of(pod),
            POD_NAMESPACE: namespace_of(pod),
            POD_UID: uid_of(pod),
            CONTAINER_NAME: name,
            TERMINATION_PATH: inputs.termination_path,
            SPEC_HASH: spec_hash(container),
            IMAGE_REF: next(iter(inputs.image.digests), inputs.image.id),
        },
    )


def spec_hash(container: Object) -> str:
    """Changes when a change of the spec must restart the container: only its image may change."""
    return hashlib.sha256(f"{container.get('name')} {container.get('image')}".encode()).hexdigest()[:8]


def log_path(pod: Object, container: str, attempt: int, settings: AgentSettings) -> str:
    """`<log dir>/<ns>_<name>_<uid>/<container>/<attempt>.log`."""
    return str(settings.log_dir / log_folder(pod) / container / f"{attempt}.log")


def read_only_volumes(pod: Object) -> frozenset[str]:
    """Names of volumes that no container may write, whatever its volumeMount says."""
    volumes = spec_of(pod).get("volumes") or ()
    claims = {str(v["name"]) for v in volumes if (v.get("persistentVolumeClaim") or {}).get("readOnly")}
    return frozenset(claims | {str(v["name"]) for v in volumes if any(kind in v for kind in _ALWAYS_READ_ONLY)})


def mounts(container: Object, inputs: ContainerInputs, read_only_names: frozenset[str] = frozenset()) -> tuple[Mount, ...]:
    """volumeMounts, then the files the agent manages unless a volumeMount takes their place."""
    found = [
        Mount(
            source=source,
            target=str(wanted["mountPath"]),
            read_only=bool(wanted.get("readOnly")) or wanted["name"] in read_only_names,
            propagation=_PROPAGATION.get(str(wanted.get("mountPropagation") or "None"), "private"),
            recursive_read_only=wanted.get("recursiveReadOnly") in ("Enabled", "IfPossible"),
        )
        for wanted, source in zip(container.get("volumeMounts") or (), inputs.mount_sources, strict=True)
    ]
    taken = {mount.target.rstrip("/") for mount in found}
    managed = [
        (inputs.hosts_path, "/etc/hosts"),
        (inputs.resolv_path, "/etc/resolv.conf"),
        (inputs.hostname_path, "/etc/hostname"),
        (inputs.termination_path, str(container.get("terminationMessagePath") or "/dev/termination-log")),
    ]
    read_only = bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))
    found += [
        Mount(source, target, read_only=read_only and target in ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname"))
        for source, target in managed
        if source and target not in taken
    ]
    # Outer mounts first, so that /a does not hide /a/b.
    return tuple(sorted(found, key=lambda mount: mount.target.rstrip("/").count("/")))


def _target(pod: Object, container: Object) -> str:
    target = container.get("targetContainerName")
    if not target:
        return ""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == target:
            return str(status.get("containerID") or "").partition("://")[2]
    return ""
