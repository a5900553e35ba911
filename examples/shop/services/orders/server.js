// The orders service: POST /orders, GET /orders, GET /orders/ID. An order is pending until payments has been heard.
// /healthz says that the process is alive, /readyz that it can reach its database and its broker.
'use strict'

const express = require('express')
const settings = require('./settings')
const { Broker } = require('./broker')
const { Orders } = require('./database')
const { exists, UsersAway } = require('./users')

const LIST_MAX = 100
const AMOUNT_CENTS_MAX = 100_000_00
const KEEP_ALIVE_MS = 75_000 // longer than the gateway keeps an idle connection
const STOP_MS = 20_000

const orders = new Orders(settings.databaseUrl, settings.databaseConnectionsMax)
const broker = new Broker(settings.natsUrl, orders, settings.announceAgainMs)
const app = express()
app.disable('x-powered-by')
app.use(express.json({ limit: '64kb' }))

app.get('/healthz', (request, response) => response.send('ok\n'))

app.get('/readyz', async (request, response) => {
  await orders.check()
  if (!broker.connected) return response.status(503).send('broker away\n')
  response.send('ok\n')
})

app.post('/orders', async (request, response) => {
  const problem = problemWith(request.body)
  if (problem) return response.status(400).json({ error: problem })
  const { user_id: userId, item, amount_cents: amountCents } = request.body
  if (!await exists(settings.usersUrl, userId)) {
    return response.status(422).json({ error: `user_id: user ${userId} does not exist` })
  }
  const order = await orders.create(userId, item, amountCents)
  broker.announce(order)
  response.status(201).location(`/orders/${order.id}`).json(order)
})

app.get('/orders', async (request, response) => response.json(await orders.newest(LIST_MAX)))

app.get('/orders/:id', async (request, response) => {
  const id = Number(request.params.id)
  const order = Number.isSafeInteger(id) ? await orders.find(id) : null
  if (order === null) return response.status(404).json({ error: `order ${request.params.id} does not exist` })
  response.json(order)
})

app.use((error, request, response, next) => {
  if (error.status >= 400 && error.status < 500) return response.status(error.status).json({ error: error.message })
  console.warn(`${request.method} ${request.path}: ${error.message}`)
  const message = error instanceof UsersAway ? error.message : 'the database does not answer; try again'
  response.status(503).json({ error: message })
})

function problemWith (body) {
  if (body === null || typeof body !== 'object') return 'body: a JSON object with user_id, item and amount_cents is needed'
  if (!Number.isSafeInteger(body.user_id) || body.user_id < 1) return 'user_id: the number of a user is needed'
  if (typeof body.item !== 'string' || body.item.length < 1 || body.item.length > 200) return 'item: 1 to 200 characters are needed'
  if (!Number.isSafeInteger(body.amount_cents) || body.amount_cents < 1 || body.amount_cents > AMOUNT_CENTS_MAX) {
    return `amount_cents: a whole number from 1 to ${AMOUNT_CENTS_MAX} is needed`
  }
  return null
}

const server = app.listen(settings.port, error => {
  if (error) throw error
  console.log(`orders on port ${settings.port}`)
})
server.keepAliveTimeout = KEEP_ALIVE_MS
broker.start().catch(error => { console.error(`broker: ${error.message}`); process.exit(1) })

function stop () {
  setTimeout(() => process.exit(1), STOP_MS).unref()
  server.close(async () => {
    await broker.close()
    await orders.close()
    process.exit(0)
  })
  server.closeIdleConnections()
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
