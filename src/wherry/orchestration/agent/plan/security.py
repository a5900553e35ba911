"""Security contexts of pod and container as the engine's `Security`, and what must be refused. Pure.

Spec: core/v1 SecurityContext, PodSecurityContext; Pod Security Standards' safe sysctls.
"""

from pathlib import Path

from wherry.container.image.service import Image
from wherry.container.runtime.engine import Security
from wherry.kit.errors import Invalid
from wherry.orchestration.agent.facts.pod import describe, is_host_network, security_value, spec_of
from wherry.orchestration.objects.meta import Object

SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)


def container_security(
    pod: Object, container: Object, image: Image, *, seccomp_default: str, seccomp_dir: Path
) -> Security:
    """Raise `Invalid` with upstream's text when runAsNonRoot is not kept."""
    own = container.get("securityContext") or {}
    user_id, user_name = _user(pod, container, image)
    verify_non_root(pod, container, image)
    capabilities = own.get("capabilities") or {}
    privileged = bool(own.get("privileged"))
    unmasked = own.get("procMount") == "Unmasked"
    return Security(
        user_id=user_id,
        group_id=security_value(pod, container, "runAsGroup"),
        supplemental_groups=supplemental_groups(pod),
        user_name=user_name,
        privileged=privileged,
        add_capabilities=tuple(_capability(name) for name in capabilities.get("add") or ()),
        drop_capabilities=tuple(_capability(name) for name in capabilities.get("drop") or ()),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False and not privileged,
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        seccomp="unconfined" if privileged else _seccomp(pod, container, seccomp_default, seccomp_dir),
        masked_paths=() if unmasked else None,
        read_only_paths=() if unmasked else None,
    )


def supplemental_groups(pod: Object) -> tuple[int, ...]:
    """supplementalGroups and fsGroup."""
    context = spec_of(pod).get("securityContext") or {}
    groups = [int(group) for group in context.get("supplementalGroups") or ()]
    if (fs_group := context.get("fsGroup")) is not None and int(fs_group) not in groups:
        groups.append(int(fs_group))
    return tuple(groups)


def verify_non_root(pod: Object, container: Object, image: Image) -> None:
    """Raise `Invalid` when runAsNonRoot is asked for and the process would be root, or nobody can tell."""
    if not security_value(pod, container, "runAsNonRoot"):
        return
    where = f'(pod: "{describe(pod)}", container: {container["name"]})'
    user_id = security_value(pod, container, "runAsUser")
    if user_id is not None:
        if int(user_id) == 0:
            raise Invalid(f"container's runAsUser breaks non-root policy {where}")
        return
    user = image.user.partition(":")[0]
    if user in ("", "0", "root"):
        raise Invalid(f"container has runAsNonRoot and image will run as root {where}")
    if not user.isdigit():
        raise Invalid(
            f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {where}"
        )


def forbidden_sysctl(pod: Object, allowed_unsafe: tuple[str, ...]) -> str:
    """The text for reason SysctlForbidden, "" when all sysctls may be set."""
    for entry in (spec_of(pod).get("securityContext") or {}).get("sysctls") or ():
        name = str(entry.get("name", "")).replace("/", ".")
        if not _is_allowed(name, allowed_unsafe):
            return f'forbidden sysctl: "{name}" not allowlisted'
        if is_host_network(pod) and name.startswith("net."):
            return f'forbidden sysctl: "{name}" not allowed with host net enabled'
        if spec_of(pod).get("hostIPC") and name.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            return f'forbidden sysctl: "{name}" not allowed with host ipc enabled'
    return ""


def sysctls(pod: Object) -> dict[str, str]:
    """With dots, as the kernel's documentation writes them."""
    entries = (spec_of(pod).get("securityContext") or {}).get("sysctls") or ()
    return {str(entry["name"]).replace("/", "."): str(entry["value"]) for entry in entries}


def _is_allowed(name: str, allowed_unsafe: tuple[str, ...]) -> bool:
    if name in SAFE_SYSCTLS or name in allowed_unsafe:
        return True
    return any(pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in allowed_unsafe)


def _user(pod: Object, container: Object, image: Image) -> tuple[int | None, str]:
    user_id = security_value(pod, container, "runAsUser")
    return (int(user_id), "") if user_id is not None else (None, image.user)


def _capability(name: str) -> str:
    return str(name).upper().removeprefix("CAP_")


def _seccomp(pod: Object, container: Object, default: str, folder: Path) -> str:
    profile = security_value(pod, container, "seccompProfile")
    if not profile:
        return default
    match profile.get("type"):
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"localhost/{folder / str(profile.get('localhostProfile', ''))}"
    return "unconfined"
