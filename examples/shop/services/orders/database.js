// Orders in PostgreSQL, in a schema of this service's own. Errors of the driver pass through: the caller answers 503.
'use strict'

const { Pool } = require('pg')

const SCHEMA = `
CREATE SCHEMA IF NOT EXISTS orders;
CREATE TABLE IF NOT EXISTS orders.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    item text NOT NULL,
    amount_cents bigint NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    payment_id bigint,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS orders_pending ON orders.orders (id) WHERE status = 'pending';
`
const SCHEMA_LOCK = 1002
const COLUMNS = 'id, user_id, item, amount_cents, status, payment_id, created_at'
const CONNECT_MS = 3000

class Orders {
  constructor (url, connectionsMax) {
    this.pool = new Pool({ connectionString: url, max: connectionsMax, connectionTimeoutMillis: CONNECT_MS })
    this.pool.on('error', error => console.warn(`idle database connection lost: ${error.message}`))
    this.prepared = false
  }

  // Reject unless the database answers and the schema is there.
  async check () {
    if (this.prepared) {
      await this.pool.query('SELECT 1')
      return
    }
    // One string is one transaction; replicas that start together wait for each other.
    await this.pool.query(`BEGIN; SELECT pg_advisory_xact_lock(${SCHEMA_LOCK}); ${SCHEMA} COMMIT;`)
    this.prepared = true
  }

  async create (userId, item, amountCents) {
    const { rows } = await this.pool.query(
      `INSERT INTO orders.orders (user_id, item, amount_cents) VALUES ($1, $2, $3) RETURNING ${COLUMNS}`,
      [userId, item, amountCents])
    return plain(rows[0])
  }

  async find (id) {
    const { rows } = await this.pool.query(`SELECT ${COLUMNS} FROM orders.orders WHERE id = $1`, [id])
    return rows.length ? plain(rows[0]) : null
  }

  async newest (limit) {
    const { rows } = await this.pool.query(`SELECT ${COLUMNS} FROM orders.orders ORDER BY id DESC LIMIT $1`, [limit])
    return rows.map(plain)
  }

  // Pending for longer than `ageMs`: their announcement may have been lost.
  async waiting (ageMs, limit) {
    const { rows } = await this.pool.query(
      `SELECT ${COLUMNS} FROM orders.orders WHERE status = 'pending' AND created_at < now() - $1 * interval '1 millisecond'
       ORDER BY id LIMIT $2`, [ageMs, limit])
    return rows.map(plain)
  }

  // False when it was paid already or never existed.
  async markPaid (id, paymentId) {
    const { rowCount } = await this.pool.query(
      "UPDATE orders.orders SET status = 'paid', payment_id = $2 WHERE id = $1 AND status = 'pending'", [id, paymentId])
    return rowCount === 1
  }

  close () {
    return this.pool.end()
  }
}

// The driver gives bigint as text, because 2^63 does not fit a number; these ids do.
function plain (row) {
  return {
    id: Number(row.id),
    user_id: Number(row.user_id),
    item: row.item,
    amount_cents: Number(row.amount_cents),
    status: row.status,
    payment_id: row.payment_id === null ? null : Number(row.payment_id),
    created_at: row.created_at.toISOString()
  }
}

module.exports = { Orders }
