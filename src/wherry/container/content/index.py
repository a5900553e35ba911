"""What the blobs mean: names, manifests by repository, images for this machine, known layers. One SQLite file.

In:    facts about blobs that are already stored.
Out:   the same facts, also to other processes, at their next call. A name never points at what is not stored.
Why SQLite: several processes write names at once, and a name with its manifest must appear together.
Never: reads or removes blobs.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from wherry.container.content.settings import ContentSettings
from wherry.container.image.documents import Descriptor
from wherry.kit.errors import Broken, Unavailable

BUSY_TIMEOUT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tags(repository TEXT, tag TEXT, digest TEXT, PRIMARY KEY(repository, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_digest ON tags(digest);
CREATE TABLE IF NOT EXISTS manifests(repository TEXT, digest TEXT, media_type TEXT, size INTEGER, subject TEXT,
    artifact_type TEXT, PRIMARY KEY(repository, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS manifests_by_digest ON manifests(digest);
CREATE INDEX IF NOT EXISTS manifests_by_subject ON manifests(repository, subject);
CREATE TABLE IF NOT EXISTS images(digest TEXT PRIMARY KEY, manifest TEXT, id TEXT, size INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_id ON images(id);
CREATE TABLE IF NOT EXISTS layers(diff_id TEXT PRIMARY KEY, digest TEXT, media_type TEXT, size INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS layers_by_digest ON layers(digest);
CREATE TABLE IF NOT EXISTS links(repository TEXT, digest TEXT, PRIMARY KEY(repository, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_by_digest ON links(digest);
"""


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or index as one repository has it."""

    repository: str
    digest: str
    media_type: str
    size: int
    subject: str = ""
    artifact_type: str = ""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The image behind a manifest or index digest, for this machine's platform. `size` is that of its blobs."""

    digest: str
    manifest: str
    id: str
    size: int


class ImageIndex:
    """Blocking, each call about 20 us, a write about 1 ms. Safe from several threads."""

    def __init__(self, settings: ContentSettings) -> None:
        settings.root.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = settings.index_file
        self._database = sqlite3.connect(
            settings.index_file, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Idempotent."""
        self._database.close()

    def tag(self, repository: str, tag: str) -> str:
        """The digest a tag points at, or ""."""
        rows = self._rows("SELECT digest FROM tags WHERE repository=? AND tag=?", repository, tag)
        return rows[0][0] if rows else ""

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, sorted by code point."""
        return sorted(row[0] for row in self._rows("SELECT tag FROM tags WHERE repository=?", repository))

    def tags_of(self, digest: str) -> list[tuple[str, str]]:
        """(repository, tag) of everything that points at a digest."""
        return sorted(self._rows("SELECT repository, tag FROM tags WHERE digest=?", digest))

    def repositories(self, domain: str) -> list[str]:
        """Paths of the repositories below a domain, sorted."""
        like = domain.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "/%"
        rows = self._rows("SELECT DISTINCT repository FROM manifests WHERE repository LIKE ? ESCAPE '\\'", like)
        return sorted(row[0][len(domain) + 1 :] for row in rows)

    def manifest(self, repository: str, digest: str) -> StoredManifest | None:
        """A manifest if the repository has it."""
        rows = self._rows(f"SELECT {_MANIFEST} FROM manifests WHERE repository=? AND digest=?", repository, digest)
        return StoredManifest(*rows[0]) if rows else None

    def manifests(self, repository: str = "") -> list[StoredManifest]:
        """All manifests of one repository, or of all."""
        if repository:
            rows = self._rows(f"SELECT {_MANIFEST} FROM manifests WHERE repository=? ORDER BY digest", repository)
        else:
            rows = self._rows(f"SELECT {_MANIFEST} FROM manifests ORDER BY repository, digest")
        return [StoredManifest(*row) for row in rows]

    def repositories_of(self, digest: str) -> list[str]:
        """The repositories that have a manifest."""
        return sorted(row[0] for row in self._rows("SELECT repository FROM manifests WHERE digest=?", digest))

    def referrers(self, repository: str, subject: str) -> list[StoredManifest]:
        """Manifests whose subject is `subject`, sorted by digest."""
        where = "WHERE repository=? AND subject=? ORDER BY digest"
        return [StoredManifest(*row) for row in self._rows(f"SELECT {_MANIFEST} FROM manifests {where}", repository, subject)]

    def put_manifest(
        self, manifest: StoredManifest, tags: Iterable[str] = (), images: Iterable[StoredImage] = ()
    ) -> None:
        """Make a manifest known to a repository, point tags at it, and record the images behind it, in one transaction."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO manifests VALUES(?,?,?,?,?,?)", astuple(manifest))
            for tag in tags:
                database.execute("INSERT OR REPLACE INTO tags VALUES(?,?,?)", (manifest.repository, tag, manifest.digest))
            database.executemany("INSERT OR REPLACE INTO images VALUES(?,?,?,?)", [astuple(image) for image in images])

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Whether there was such a tag."""
        with self._transaction() as database:
            return database.execute("DELETE FROM tags WHERE repository=? AND tag=?", (repository, tag)).rowcount > 0

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Remove a manifest from a repository with the tags that point at it. Whether it was there."""
        with self._transaction() as database:
            database.execute("DELETE FROM tags WHERE repository=? AND digest=?", (repository, digest))
            return database.execute("DELETE FROM manifests WHERE repository=? AND digest=?", (repository, digest)).rowcount > 0

    def image(self, digest: str) -> StoredImage | None:
        """The image for a manifest or index digest."""
        rows = self._rows("SELECT digest, manifest, id, size FROM images WHERE digest=?", digest)
        return StoredImage(*rows[0]) if rows else None

    def images(self, image_id: str = "") -> list[StoredImage]:
        """All images, or those of one id."""
        if image_id:
            rows = self._rows("SELECT digest, manifest, id, size FROM images WHERE id=? ORDER BY digest", image_id)
        else:
            rows = self._rows("SELECT digest, manifest, id, size FROM images ORDER BY id, digest")
        return [StoredImage(*row) for row in rows]

    def put_image(self, image: StoredImage) -> None:
        """Record that all blobs of an image are here."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO images VALUES(?,?,?,?)", astuple(image))

    def forget_unnamed(self) -> None:
        """Forget the images of which no repository has a manifest, in one step: one that is being named stays."""
        named = "SELECT images.id FROM images JOIN manifests ON manifests.digest = images.digest"
        with self._transaction() as database:
            database.execute(f"DELETE FROM images WHERE id NOT IN ({named})")

    def layer(self, diff_id: str) -> Descriptor | None:
        """The compressed form of a layer that was made or seen before; its blob may be gone."""
        rows = self._rows("SELECT media_type, digest, size FROM layers WHERE diff_id=?", diff_id)
        return Descriptor(*rows[0]) if rows else None

    def put_layers(self, layers: Iterable[tuple[str, Descriptor]]) -> None:
        """Remember the compressed form of layers, by their diff ids."""
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO layers VALUES(?,?,?,?)",
                [(diff_id, layer.digest, layer.media_type, layer.size) for diff_id, layer in layers],
            )

    def forget_blob(self, digest: str) -> None:
        """A blob was removed: forget the layer it held and the repositories it was in."""
        with self._transaction() as database:
            database.execute("DELETE FROM layers WHERE digest=?", (digest,))
            database.execute("DELETE FROM links WHERE digest=?", (digest,))

    def link(self, repository: str, digest: str) -> None:
        """A repository has this blob, though no manifest of it may name it yet."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO links VALUES(?,?)", (repository, digest))

    def unlink(self, repository: str, digest: str) -> bool:
        """Whether the link was there."""
        with self._transaction() as database:
            return database.execute("DELETE FROM links WHERE repository=? AND digest=?", (repository, digest)).rowcount > 0

    def is_linked(self, repository: str, digest: str) -> bool:
        """Whether a blob was uploaded to, or mounted into, a repository."""
        return bool(self._rows("SELECT 1 FROM links WHERE repository=? AND digest=?", repository, digest))

    def _rows(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, self._named_errors():
            return self._database.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._named_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")  # on a full disk this, too, can refuse
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise Unavailable(f"images {self._path}: no space left on the disk; free some space and try again") from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise Broken(f"images {self._path}: the file is damaged ({error}); remove it and make the images again") from error
            raise Unavailable(f"images {self._path}: {error}") from error


_MANIFEST = "repository, digest, media_type, size, subject, artifact_type"
