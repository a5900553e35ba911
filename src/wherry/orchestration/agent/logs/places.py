"""Where log collectors look: a pod's folder in /var/log/pods, and a link to each container's log in /var/log/containers.

In:    the node's settings; pods and containers as they start and go.
Out:   `<log dir>/<ns>_<name>_<uid>/`, `<links dir>/<pod>_<ns>_<container>-<id>.log`, and a note in `<journal dir>` of each folder,
       made before the folder: clusters share the two directories, and by its notes one is cleared without the others.
Spec:  kubelet's log layout, which collectors parse; uids and container ids keep the names of clusters apart.
Never: enters a folder that has no note of this cluster.
"""

import os
import shutil
from pathlib import Path

from wherry.orchestration.agent.facts.pod import log_folder
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

SHARED_MODE = 0o755  # of the two directories, which other programs use too
PRIVATE_MODE = 0o700  # of a pod's own folder: collectors are root


def prepare(settings: AgentSettings, pod: Object) -> None:
    """Make the pod's folder. Idempotent."""
    settings.log_dir.mkdir(parents=True, exist_ok=True, mode=SHARED_MODE)
    folder = settings.log_dir / log_folder(pod)
    if settings.log_journal_dir is not None:
        settings.log_journal_dir.mkdir(parents=True, exist_ok=True, mode=PRIVATE_MODE)
        _link(settings.log_journal_dir / folder.name, folder)
    folder.mkdir(exist_ok=True, mode=PRIVATE_MODE)
    folder.chmod(PRIVATE_MODE)


def link_container(settings: AgentSettings, pod: Object, container: str, container_id: str, log_path: str) -> None:
    """Show the log under its container's name; links of this container whose log is gone go."""
    links = settings.log_links_dir
    if links is None:
        return
    links.mkdir(parents=True, exist_ok=True, mode=SHARED_MODE)
    prefix = f"{name_of(pod)}_{namespace_of(pod)}_{container}-"
    for name in os.listdir(links):  # not glob: it compiles, and keeps, an expression for every container there ever was
        old = links / name
        if not name.startswith(prefix) or not name.endswith(".log"):
            continue
        if old.is_symlink() and not old.exists() and Path(os.readlink(old)).is_relative_to(settings.log_dir / log_folder(pod)):
            old.unlink(missing_ok=True)
    _link(links / f"{prefix}{container_id}.log", Path(log_path))


def folders_of(settings: AgentSettings, uid: str) -> list[str]:
    """The names of a pod's log folders, when nothing but its uid is known."""
    return [name for name in os.listdir(settings.log_dir) if name.endswith(f"_{uid}")] if settings.log_dir.is_dir() else []


def remove(settings: AgentSettings, folder_name: str) -> None:
    """Remove a pod's folder, the links into it and its note. Idempotent."""
    folder = settings.log_dir / folder_name
    _remove_links(settings.log_links_dir, folder)
    shutil.rmtree(folder, ignore_errors=True)
    if settings.log_journal_dir is not None:
        (settings.log_journal_dir / folder_name).unlink(missing_ok=True)


def remove_all(settings: AgentSettings) -> None:
    """Remove every folder this cluster has a note of. Idempotent."""
    if settings.log_journal_dir is None or not settings.log_journal_dir.is_dir():
        return
    for note in settings.log_journal_dir.iterdir():
        if note.is_symlink() and Path(os.readlink(note)) == settings.log_dir / note.name:
            remove(settings, note.name)


def _remove_links(links: Path | None, folder: Path) -> None:
    if links is None or not links.is_dir():
        return
    for link in links.iterdir():
        if link.is_symlink() and Path(os.readlink(link)).is_relative_to(folder):
            link.unlink(missing_ok=True)


def _link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except FileExistsError:
        if path.is_symlink() and Path(os.readlink(path)) != target:
            path.unlink()
            path.symlink_to(target)
