"""The Pod Security Standards as pure checks: what a Pod does that a level does not allow.

In:    a Pod's metadata and spec, a level.
Out:   `Violation`s in upstream's order and words.
Spec:  https://kubernetes.io/docs/concepts/security/pod-security-standards/ (latest)
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from wherry.orchestration.objects.meta import Object, annotations_of

LEVELS = ("privileged", "baseline", "restricted")
CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT"})
SYSCTLS = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"})
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
VOLUME_TYPES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret")
APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"


class Violation(NamedTuple):
    """`reason (detail)`."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


def violations(level: str, pod: Object) -> list[Violation]:
    """Everything in `pod` that `level` does not allow."""
    checks = {"privileged": (), "baseline": BASELINE, "restricted": (*BASELINE, *RESTRICTED)}[level]
    found = [violation for check in checks for violation in check(pod)]
    # A restricted check says all that its baseline sibling says, and more.
    doubled = {"non-default capabilities": "unrestricted capabilities", "hostPath volumes": "restricted volume types"}
    reasons = {violation.reason for violation in found}
    return [v for v in found if doubled.get(v.reason) not in reasons or v.reason == "hostPath volumes"]


def containers_of(pod: Object) -> list[Mapping[str, Any]]:
    """All kinds of containers."""
    spec = pod.get("spec", {})
    return [c for name in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(name) or ()]


def _security(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    return thing.get("securityContext") or {}


def _named(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"container {quoted}" if len(names) == 1 else f"containers {quoted}"


def _bad_containers(pod: Object, is_bad: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    return [c.get("name", "") for c in containers_of(pod) if is_bad(c)]


def _host_namespaces(pod: Object) -> Iterator[Violation]:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod["spec"].get(name)]
    if found:
        yield Violation("host namespaces", ", ".join(found))


def _privileged(pod: Object) -> Iterator[Violation]:
    bad = _bad_containers(pod, lambda c: bool(_security(c).get("privileged")))
    if bad:
        yield Violation("privileged", f"{_named(bad)} must not set securityContext.privileged=true")


def _capabilities(pod: Object) -> Iterator[Violation]:
    def extra(container: Mapping[str, Any]) -> set[str]:
        return set((_security(container).get("capabilities") or {}).get("add") or ()) - CAPABILITIES

    bad = _bad_containers(pod, lambda c: bool(extra(c)))
    if bad:
        names = sorted({name for c in containers_of(pod) for name in extra(c)})
        listed = ", ".join(f'"{name}"' for name in names)
        yield Violation("non-default capabilities",
                        f"{_named(bad)} must not include {listed} in securityContext.capabilities.add")


def _host_path(pod: Object) -> Iterator[Violation]:
    bad = [v["name"] for v in pod["spec"].get("volumes") or () if v.get("hostPath") is not None]
    if bad:
        listed = ", ".join(f'"{name}"' for name in bad)
        yield Violation("hostPath volumes", f"volume{'s' if len(bad) > 1 else ''} {listed}")


def _host_ports(pod: Object) -> Iterator[Violation]:
    def ports(container: Mapping[str, Any]) -> list[int]:
        return [p["hostPort"] for p in container.get("ports") or () if p.get("hostPort")]

    bad = _bad_containers(pod, lambda c: bool(ports(c)))
    if bad:
        numbers = sorted({port for c in containers_of(pod) for port in ports(c)})
        listed = ", ".join(map(str, numbers))
        yield Violation("hostPort", f"{_named(bad)} use{'s' if len(bad) == 1 else ''} "
                        f"hostPort{'s' if len(numbers) > 1 else ''} {listed}")


def _apparmor(pod: Object) -> Iterator[Violation]:
    for key, value in annotations_of(pod).items():
        if key.startswith(APPARMOR_PREFIX) and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            yield Violation("forbidden AppArmor profile", f'{key}="{value}"')
    things = [("pod", pod["spec"]), *((f'container "{c.get("name", "")}"', c) for c in containers_of(pod))]
    for name, thing in things:
        if (_security(thing).get("appArmorProfile") or {}).get("type") == "Unconfined":
            yield Violation("forbidden AppArmor profile", f"{name} must not set AppArmor profile type to \"Unconfined\"")


def _selinux(pod: Object) -> Iterator[Violation]:
    for name, thing in [("pod", pod["spec"]), *((f'container "{c.get("name", "")}"', c) for c in containers_of(pod))]:
        options = _security(thing).get("seLinuxOptions") or {}
        if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
            yield Violation("seLinuxOptions", f"{name} set forbidden securityContext.seLinuxOptions")


def _proc_mount(pod: Object) -> Iterator[Violation]:
    bad = _bad_containers(pod, lambda c: _security(c).get("procMount", "Default") != "Default")
    if bad:
        yield Violation("procMount", f"{_named(bad)} must not set securityContext.procMount")


def _seccomp_baseline(pod: Object) -> Iterator[Violation]:
    def is_unconfined(thing: Mapping[str, Any]) -> bool:
        return (_security(thing).get("seccompProfile") or {}).get("type") == "Unconfined"

    bad = _bad_containers(pod, is_unconfined)
    if is_unconfined(pod["spec"]) or bad:
        who = ["pod"] if is_unconfined(pod["spec"]) else []
        if bad:
            who.append(_named(bad))
        yield Violation("seccompProfile", f"{' and '.join(who)} must not set securityContext.seccompProfile.type to \"Unconfined\"")


def _host_process(pod: Object) -> Iterator[Violation]:
    def wants(thing: Mapping[str, Any]) -> bool:
        return bool((_security(thing).get("windowsOptions") or {}).get("hostProcess"))

    bad = _bad_containers(pod, wants)
    who = [*(["pod"] if wants(pod["spec"]) else []), *([_named(bad)] if bad else [])]
    if who:
        yield Violation("hostProcess", f"{' and '.join(who)} must not set securityContext.windowsOptions.hostProcess=true")


def _probe_hosts(pod: Object) -> Iterator[Violation]:
    """Since 1.34: a probe or hook of another host makes the node a proxy."""
    def hosts(container: Mapping[str, Any]) -> bool:
        lifecycle = container.get("lifecycle") or {}
        handlers = [*(container.get(name) or {} for name in ("livenessProbe", "readinessProbe", "startupProbe")),
                    *(lifecycle.get(name) or {} for name in ("postStart", "preStop"))]
        return any((handler.get(kind) or {}).get("host") for handler in handlers for kind in ("httpGet", "tcpSocket"))

    bad = _bad_containers(pod, hosts)
    if bad:
        yield Violation("probe or lifecycle host", f"{_named(bad)} must not set host of a probe or lifecycle hook")


def _sysctls(pod: Object) -> Iterator[Violation]:
    bad = [s["name"] for s in _security(pod["spec"]).get("sysctls") or () if s["name"] not in SYSCTLS]
    if bad:
        yield Violation("forbidden sysctls", ", ".join(bad))


def _volume_types(pod: Object) -> Iterator[Violation]:
    bad = {v["name"]: next((k for k in v if k != "name"), "unknown") for v in pod["spec"].get("volumes") or ()
           if not any(kind in v for kind in VOLUME_TYPES)}
    if bad:
        names = ", ".join(f'"{name}"' for name in bad)
        kinds = ", ".join(f'"{kind}"' for kind in sorted(set(bad.values())))
        yield Violation("restricted volume types", f"volume{'s' if len(bad) > 1 else ''} {names} "
                        f"use{'s' if len(bad) == 1 else ''} restricted volume type{'s' if kinds.count(',') else ''} {kinds}")


def _escalation(pod: Object) -> Iterator[Violation]:
    bad = _bad_containers(pod, lambda c: _security(c).get("allowPrivilegeEscalation") is not False)
    if bad:
        yield Violation("allowPrivilegeEscalation != false",
                        f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false")


def _drop_all(pod: Object) -> Iterator[Violation]:
    def capabilities(container: Mapping[str, Any]) -> Mapping[str, Any]:
        return _security(container).get("capabilities") or {}

    kept = _bad_containers(pod, lambda c: "ALL" not in (capabilities(c).get("drop") or ()))
    added = _bad_containers(pod, lambda c: bool(set(capabilities(c).get("add") or ()) - {"NET_BIND_SERVICE"}))
    texts = []
    if kept:
        texts.append(f'{_named(kept)} must set securityContext.capabilities.drop=["ALL"]')
    if added:
        names = sorted({n for c in containers_of(pod) for n in capabilities(c).get("add") or ()} - {"NET_BIND_SERVICE"})
        listed = ", ".join(f'"{name}"' for name in names)
        texts.append(f"{_named(added)} must not include {listed} in securityContext.capabilities.add")
    if texts:
        yield Violation("unrestricted capabilities", "; ".join(texts))


def _non_root(pod: Object) -> Iterator[Violation]:
    of_pod = _security(pod["spec"]).get("runAsNonRoot")
    bad = _bad_containers(
        pod, lambda c: not (_security(c).get("runAsNonRoot") if _security(c).get("runAsNonRoot") is not None else of_pod))
    if bad:
        who = f"pod or {_named(bad)}" if of_pod is None else _named(bad)
        yield Violation("runAsNonRoot != true", f"{who} must set securityContext.runAsNonRoot=true")
    zero = _bad_containers(pod, lambda c: _security(c).get("runAsUser") == 0)
    if _security(pod["spec"]).get("runAsUser") == 0:
        yield Violation("runAsUser=0", "pod must not set runAsUser=0")
    elif zero:
        yield Violation("runAsUser=0", f"{_named(zero)} must not set runAsUser=0")


def _seccomp_restricted(pod: Object) -> Iterator[Violation]:
    allowed = ("RuntimeDefault", "Localhost")
    of_pod = (_security(pod["spec"]).get("seccompProfile") or {}).get("type")
    bad = _bad_containers(
        pod, lambda c: ((_security(c).get("seccompProfile") or {}).get("type") or of_pod) not in allowed)
    if bad:
        yield Violation("seccompProfile", f"pod or {_named(bad)} must set securityContext.seccompProfile.type to "
                        '"RuntimeDefault" or "Localhost"')


Check = Callable[[Object], Iterator[Violation]]
BASELINE: tuple[Check, ...] = (
    _apparmor, _capabilities, _host_namespaces, _host_path, _host_ports, _host_process, _privileged, _probe_hosts,
    _proc_mount, _seccomp_baseline, _selinux, _sysctls)
RESTRICTED: tuple[Check, ...] = (_escalation, _drop_all, _volume_types, _non_root, _seccomp_restricted)
