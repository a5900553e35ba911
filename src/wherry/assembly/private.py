"""Keep what the cluster has on disk from the machine's other users: root filesystems, Secrets in bundles, keys, logs.

In:    the node's settings. Out: 0700 on the run dir and on every folder of ours in the data dir, whoever made them.
Never: changes the data dir itself while it holds what is not ours: it may be a folder of the machine.
"""

from pathlib import Path

from wherry.assembly.node import NodeSettings

FOLDER_MODE = 0o700
FILE_MODE = 0o600
FOLDERS = frozenset({"pki", "identity", "log", "content", "volumes", "runtime", "pods", "cache", "build", "build-cache"})
FILES = frozenset({
    "cluster.json", "node.json", "node-range", "admin.conf", "registry.password", "state.db", "state.db-wal", "state.db-shm",
})


def make_private(settings: NodeSettings) -> None:
    """Idempotent; made at every start of a component, so that what an earlier version left open is closed."""
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    settings.run_dir.chmod(FOLDER_MODE)
    if not settings.data_dir.is_dir():
        return
    entries = list(settings.data_dir.iterdir())
    for name in FOLDERS - ({"pki"} if settings.is_joined else frozenset()):
        (settings.data_dir / name).mkdir(exist_ok=True, mode=FOLDER_MODE)
        (settings.data_dir / name).chmod(FOLDER_MODE)
    for entry in entries:
        if entry.name in FILES:
            _chmod(entry, FILE_MODE)
    if all(is_ours(entry) for entry in entries):
        settings.data_dir.chmod(FOLDER_MODE)


def is_ours(entry: Path) -> bool:
    """An entry of the data dir that a component made."""
    return entry.name in FOLDERS | FILES or (entry.name.startswith(".") and entry.name.endswith(".tmp"))


def _chmod(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except FileNotFoundError:
        pass  # a log of the database that another component just removed
