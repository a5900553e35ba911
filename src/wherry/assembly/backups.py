"""Copies of one cluster's store, for the command line: where they lie, and when going back is possible.

In:    the node's settings; optionally a file of the user's.
Out:   checked copies; after `go_back` the next `wherry up` runs from the copy.
"""

from datetime import UTC, datetime
from pathlib import Path

from wherry.assembly import daemon
from wherry.assembly.node import NodeSettings
from wherry.kit.errors import Invalid, Unavailable
from wherry.orchestration.store import backups
from wherry.orchestration.store.backups import Backup


def make(settings: NodeSettings, target: Path | None) -> Path:
    """A copy at `target`, or among the automatic ones; the cluster may be running."""
    path = target or settings.backup_dir / f"store-{datetime.now(UTC).strftime(backups.TIME_FORMAT)}.db"
    backups.copy(settings.database, path)
    return path


def kept(settings: NodeSettings) -> tuple[Backup, ...]:
    """The copies in the cluster's own folder, oldest first."""
    return backups.listed(settings.backup_dir)


def go_back(settings: NodeSettings, source: Path | None) -> tuple[Path, Path | None]:
    """Put `source` (default the newest copy) in the place of the store; return it and where the former store is now."""
    if daemon.is_running(settings):
        raise Unavailable("the cluster is running; stop it first: wherry down")
    if source is None:
        found = kept(settings)
        if not found:
            raise Invalid(f"no backup in {settings.backup_dir}; name one with --from")
        source = found[-1].path
    return source, backups.restore(source, settings.database, datetime.now(UTC))
