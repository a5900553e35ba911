"""The payments service: hears of orders on NATS, takes the money, tells of it on NATS; GET /payments/ORDER over HTTP.

NATS core delivers at most once. That is enough: the orders service announces an order again until it hears that it is
paid, and the ledger pays an order once. `app` is the ASGI application.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator

import nats
import nats.errors
import psycopg
from nats.aio.client import Client
from nats.aio.msg import Msg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ledger import Ledger

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://shop:shop@localhost:5432/shop")
NATS_URL = os.environ.get("NATS_URL", "nats://localhost:4222")
CREATED, PAID = "orders.created", "orders.paid"
WORKERS = "payments"  # queue group: one replica gets each announcement
RETRY_SECONDS = 1.0

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
log = logging.getLogger("payments")
ledger = Ledger(DATABASE_URL)
broker = Client()


async def settle(message: Msg) -> None:
    """Pay one announced order and tell of it. What cannot be paid now is announced again."""
    try:
        order = json.loads(message.data)
        order_id, amount_cents = int(order["id"]), int(order["amount_cents"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("announcement not understood: %s", error)
        return
    try:
        payment = await ledger.pay(order_id, amount_cents)
    except psycopg.Error as error:
        log.warning("order %d not paid yet: %s", order_id, error)
        return
    await broker.publish(PAID, json.dumps({"order_id": order_id, "payment_id": payment["id"]}).encode())
    log.info("order %d paid: payment=%d cents=%d", order_id, payment["id"], amount_cents)


async def listen() -> None:
    """Connect to the broker, however long it takes; the client reconnects by itself afterwards."""
    while True:
        try:
            await broker.connect(NATS_URL, name="payments", max_reconnect_attempts=-1, reconnect_time_wait=RETRY_SECONDS,
                                 error_cb=tell, allow_reconnect=True)
            break
        except (OSError, nats.errors.Error, TimeoutError) as error:
            log.warning("broker away: %s", error or type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
    await broker.subscribe(CREATED, queue=WORKERS, cb=settle)
    log.info("listening on %s", CREATED)


async def tell(error: Exception) -> None:
    log.warning("broker: %s", error or type(error).__name__)


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        yield
        listening.cancel()
    if broker.is_connected:
        await broker.drain()  # finish what was delivered, then go
    await ledger.close()


async def healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def readyz(_: Request) -> Response:
    if not broker.is_connected:
        return PlainTextResponse("broker away\n", 503)
    try:
        await ledger.check()
    except psycopg.Error as error:
        return PlainTextResponse(f"database away: {error}\n", 503)
    return PlainTextResponse("ok\n")


async def read(request: Request) -> Response:
    order_id = request.path_params["order_id"]
    try:
        payment = await ledger.find(order_id) if order_id < 2**63 else None
    except psycopg.Error as error:
        log.warning("database away: %s", error)
        return JSONResponse({"error": "the database does not answer; try again"}, 503)
    if payment is None:
        return JSONResponse({"error": f"order {order_id} has no payment"}, 404)
    return JSONResponse(payment)


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/payments/{order_id:int}", read)],
)
