"""Envoy's configuration as delta ADS over gRPC on a unix socket.

In:    a feed.
Out:   a stream per Envoy. State-of-the-world discovery is not offered (UNIMPLEMENTED).
Spec:  envoy.service.discovery.v3.AggregatedDiscoveryService.
"""

import asyncio
import itertools
import logging
import os
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.session import Session

log = logging.getLogger(__name__)

STOP_GRACE_S = 0.2
_sockets = itertools.count(1)
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
)


class AdsServer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # generated without types
    """Serve the feed until cancelled; Envoys keep what they have when it ends."""

    def __init__(self, feed: Feed, settings: GatewaySettings) -> None:
        self._feed = feed
        self._settings = settings
        self._numbers = itertools.count(1)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Listen on the socket, which only this user may open."""
        path = self._settings.xds_socket
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = path.with_name(f"{path.name}.{os.getpid()}-{next(_sockets)}")
        server = grpc.aio.server(options=OPTIONS)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, server)
        if not server.add_insecure_port(f"unix:{own}"):
            raise OSError(f"cannot listen on {own}")
        await server.start()
        _put(own, path)
        self.ready.set()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(None)

    async def DeltaAggregatedResources(self, request_iterator: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        """One stream, until the peer leaves."""
        session = Session(next(self._numbers), self._feed, self._settings, context.write)
        number = session.number
        self._feed.streams += 1
        log.info("envoy connected: stream=%d", number)
        try:
            await self._feed.newer_than(None)
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(session.push(), name=f"ads-push-{number}")
                async for request in request_iterator:
                    await session.receive(request)
                pushing.cancel()
        finally:
            self._feed.streams -= 1
            self._feed.applied(number, None)
            log.info("envoy disconnected: stream=%d", number)


def _put(own: Path, path: Path) -> None:
    """Move the socket to its known name, closed to others from the first moment.

    gRPC removes the name it bound when it ends, which may be after a successor has bound the known one.
    """
    own.chmod(0o600)
    own.replace(path)
