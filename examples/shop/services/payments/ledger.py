"""Payments in PostgreSQL, in a schema of this service's own. An order is paid once, however often it is announced."""

import asyncio
from typing import Any

import psycopg
from psycopg.rows import dict_row

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS payments;
CREATE TABLE IF NOT EXISTS payments.payments (
    order_id bigint PRIMARY KEY,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    amount_cents bigint NOT NULL,
    paid_at timestamptz NOT NULL DEFAULT now()
);
"""
SCHEMA_LOCK = 1003
CONNECT_SECONDS = 3
COLUMNS = "id, order_id, amount_cents, paid_at"


class Ledger:
    """One connection, made when first needed and again after it broke; `psycopg.Error` means: not now."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def check(self) -> None:
        """Raise unless the database answers and the schema is there."""
        async with self._one_at_a_time:
            await (await self._open()).execute("SELECT 1")

    async def pay(self, order_id: int, amount_cents: int) -> dict[str, Any]:
        """The payment of the order: a new one, or the one it has."""
        sql = "INSERT INTO payments.payments (order_id, amount_cents) VALUES (%s, %s) ON CONFLICT (order_id) DO NOTHING"
        async with self._one_at_a_time:
            await (await self._open()).execute(sql, (order_id, amount_cents))
        payment = await self.find(order_id)
        assert payment is not None
        return payment

    async def find(self, order_id: int) -> dict[str, Any] | None:
        async with self._one_at_a_time:
            rows = await (await self._open()).execute(f"SELECT {COLUMNS} FROM payments.payments WHERE order_id = %s", (order_id,))
            row = await rows.fetchone()
        return {**row, "paid_at": row["paid_at"].isoformat()} if row else None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> psycopg.AsyncConnection[dict[str, Any]]:
        if self._connection is not None and not self._connection.broken:
            return self._connection
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, row_factory=dict_row
        )
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            await connection.execute(SCHEMA)
        self._connection = connection
        return connection
