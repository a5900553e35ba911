"""The small files the agent makes for a pod: hosts, resolv.conf, hostname, termination messages; and reads back.

Layout: `<data dir>/pods/<uid>/{etc-hosts,resolv.conf,hostname}`, `.../containers/<name>/<attempt>`.
Spec:   termination message at most 4096 bytes; FallbackToLogsOnError: the log's last 2048 bytes or 80 lines.
"""

import os
from pathlib import Path

from wherry.container.runtime.engine import ContainerStatus
from wherry.orchestration.agent.facts.labels import TERMINATION_PATH
from wherry.orchestration.agent.facts.pod import is_host_network
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.plan import names
from wherry.orchestration.objects.meta import Object

MESSAGE_BYTES_MAX = 4096
LOG_TAIL_BYTES = 2048
LOG_TAIL_LINES = 80
HOSTS = Path("/etc/hosts")


def write_network_files(pod: Object, folder: Path, settings: AgentSettings, *, address: str) -> tuple[str, str, str]:
    """Paths of hosts, resolv.conf and hostname. Rewritten in place: containers hold the same inode."""
    folder.mkdir(parents=True, exist_ok=True)
    hosts, resolv, hostname = folder / "etc-hosts", folder / "resolv.conf", folder / "hostname"
    host_file = _read(HOSTS) if is_host_network(pod) else ""
    _rewrite(hosts, names.hosts_file(pod, address=address, domain=settings.cluster_domain, host_file=host_file))
    host = names.parse_resolv_conf(_read(settings.resolv_conf))
    found = names.resolv_conf(pod, host, cluster_dns=settings.cluster_dns, domain=settings.cluster_domain)
    _rewrite(resolv, found.text())
    _rewrite(hostname, names.kernel_hostname(pod, settings.cluster_domain, node_name=settings.node_name) + "\n")
    return str(hosts), str(resolv), str(hostname)


def termination_file(folder: Path, container: str, attempt: int) -> str:
    """A new, empty file that any user of the container may write."""
    path = folder / "containers" / container / str(attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    path.chmod(0o666)
    return str(path)


def termination_message(run: ContainerStatus, container: Object) -> str:
    """What an ended container left as its message, "" for nothing."""
    text = _head(run.labels.get(TERMINATION_PATH, ""))
    falls_back = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
    if not text and falls_back and run.exit_code != 0 and run.log_path:
        return log_tail(run.log_path)
    return text


def log_tail(path: str) -> str:
    """The content of the last lines of a CRI log."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            # Time stamp, stream and tag take some 45 bytes of each line.
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES - LOG_TAIL_LINES * 64))
            lines = file.read().splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        return ""
    text = b""
    for line in lines:
        parts = line.split(b" ", 3)
        if len(parts) == 4:
            text += parts[3] + (b"" if parts[2].startswith(b"P") else b"\n")
    return text[-LOG_TAIL_BYTES:].decode(errors="replace")


def _head(path: str) -> str:
    if not path:
        return ""
    try:
        # Never a device or a pipe: the container may have put anything in the file's place on a shared volume.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MESSAGE_BYTES_MAX).decode(errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _rewrite(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o644)
