// Tells of orders on NATS and hears of payments. Core NATS delivers at most once, so pending orders are announced again
// until their payment is heard of; payments pays an order once, however often it hears of it.
'use strict'

const { connect, JSONCodec } = require('nats')

const CREATED = 'orders.created'
const PAID = 'orders.paid'
const WORKERS = 'orders' // queue group: one replica hears of each payment
const AGAIN_MAX = 100
const codec = JSONCodec()

class Broker {
  constructor (url, orders, againMs) {
    this.url = url
    this.orders = orders
    this.againMs = againMs
    this.connection = null
    this.timer = null
  }

  get connected () {
    return this.connection !== null && !this.connection.isClosed()
  }

  async start () {
    this.connection = await connect({
      servers: this.url, name: 'orders', maxReconnectAttempts: -1, reconnectTimeWait: 1000, waitOnFirstConnect: true
    })
    console.log(`listening on ${PAID}`)
    this.connection.subscribe(PAID, { queue: WORKERS, callback: (error, message) => this.paid(error, message) })
    this.timer = setInterval(() => this.announceWaiting(), this.againMs)
  }

  announce (order) {
    if (this.connected) this.connection.publish(CREATED, codec.encode(order))
  }

  async announceWaiting () {
    try {
      for (const order of await this.orders.waiting(this.againMs, AGAIN_MAX)) this.announce(order)
    } catch (error) {
      console.warn(`waiting orders not read: ${error.message}`)
    }
  }

  async paid (error, message) {
    try {
      if (error) throw error
      const payment = codec.decode(message.data)
      if (await this.orders.markPaid(payment.order_id, payment.payment_id)) {
        console.log(`order ${payment.order_id} paid: payment=${payment.payment_id}`)
      }
    } catch (problem) {
      console.warn(`payment not recorded yet: ${problem.message}`)
    }
  }

  async close () {
    clearInterval(this.timer)
    if (this.connected) await this.connection.drain()
  }
}

module.exports = { Broker }
