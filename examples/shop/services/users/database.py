"""Users in PostgreSQL, in a schema of this service's own.

The pool connects in the background and again after the database was away; callers see `psycopg.OperationalError` or
`PoolTimeout` meanwhile, which the HTTP edge answers with 503.
"""

from typing import Any

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS users;
CREATE TABLE IF NOT EXISTS users.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""
# Replicas start together; one makes the schema, the others wait for it.
SCHEMA_LOCK = 1001
WAIT_SECONDS = 3.0
COLUMNS = "id, name, email, created_at"


class Users:
    """The table. Each method is one transaction."""

    def __init__(self, url: str, connections_max: int) -> None:
        self._pool = ConnectionPool(
            url, min_size=1, max_size=connections_max, timeout=WAIT_SECONDS, open=False,
            kwargs={"row_factory": dict_row}, check=ConnectionPool.check_connection,
        )
        self._is_prepared = False

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._pool.open()

    def close(self) -> None:
        self._pool.close()

    def check(self) -> None:
        """Raise unless the database answers and the schema is there."""
        with self._pool.connection() as connection:
            if self._is_prepared:
                connection.execute("SELECT 1")
                return
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            connection.execute(SCHEMA)
        self._is_prepared = True

    def create(self, name: str, email: str) -> dict[str, Any]:
        """Raises `psycopg.errors.UniqueViolation` when the address is taken."""
        with self._pool.connection() as connection:
            sql = f"INSERT INTO users.users (name, email) VALUES (%s, %s) RETURNING {COLUMNS}"
            return _plain(connection.execute(sql, (name, email)).fetchone())

    def find(self, user_id: int) -> dict[str, Any] | None:
        with self._pool.connection() as connection:
            row = connection.execute(f"SELECT {COLUMNS} FROM users.users WHERE id = %s", (user_id,)).fetchone()
            return _plain(row) if row else None

    def newest(self, limit: int) -> list[dict[str, Any]]:
        with self._pool.connection() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM users.users ORDER BY id DESC LIMIT %s", (limit,))
            return [_plain(row) for row in rows]


def _plain(row: dict[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    return {**row, "created_at": row["created_at"].isoformat()}
