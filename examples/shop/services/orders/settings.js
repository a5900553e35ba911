// What the orders service is told by its environment (12-factor): nothing else configures it.
'use strict'

const env = process.env

module.exports = {
  port: Number(env.PORT || 8080),
  databaseUrl: env.DATABASE_URL || 'postgresql://shop:shop@localhost:5432/shop',
  natsUrl: env.NATS_URL || 'nats://localhost:4222',
  usersUrl: env.USERS_URL || 'http://localhost:8081',
  databaseConnectionsMax: Number(env.DATABASE_CONNECTIONS_MAX || 8),
  announceAgainMs: Number(env.ANNOUNCE_AGAIN_MS || 3000)
}
