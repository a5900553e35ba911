"""What the components of one process share, made when the first of them asks.

In:    the node's settings, the process's name.
Out:   `Process`: the API server where it is a row of this process, clients of it, images, informers, the node's TLS.
Never: imports what its rows do not ask for: no process carries the modules of another.
"""

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

from wherry.assembly import components
from wherry.assembly.node import NodeSettings
from wherry.kit.clock import SystemClock
from wherry.kit.supervise import keep_running

if TYPE_CHECKING:
    import ssl

    from wherry.assembly.identity import Identity, Use
    from wherry.assembly.images import Images
    from wherry.orchestration.apiserver.pki import Authority
    from wherry.orchestration.apiserver.serving.server import ApiServer
    from wherry.orchestration.apiserver.user import User
    from wherry.orchestration.client.client import Client
    from wherry.orchestration.client.informers import Informers


class Process:
    """One process of a node. Everything it starts by itself runs in `tasks`."""

    def __init__(self, node: NodeSettings, name: str, tasks: asyncio.TaskGroup) -> None:
        self.node = node
        self.clock = SystemClock()
        self.rows = components.rows(node, name)
        self._tasks = tasks
        self._link = asyncio.Lock()
        self._is_linked = False
        self._server: asyncio.Future[ApiServer] = asyncio.get_running_loop().create_future()

    def serves(self, server: "ApiServer") -> None:
        """The API server of this process is ready."""
        self._server.set_result(server)

    async def server(self) -> "ApiServer | None":
        """The API server of this process, once it is ready; None when it is none of its components."""
        has_one = any(row.name == "apiserver" for row in self.rows)
        return await self._server if has_one else None

    async def client_as(self, user: "User", keys: "Authority", leaf: str) -> "Client":
        """A client that is `user`: without a socket where the API server is here, else by the certificate `leaf`."""
        from wherry.orchestration.client.client import Client
        from wherry.orchestration.client.local_transport import LocalTransport

        server = await self.server()
        if server is not None:
            return Client(LocalTransport(server.handle, user), user_agent=f"wherry/{user.name}")
        from wherry.assembly.identity import Identity, client

        return client(Identity(leaf, keys.leaf_file(leaf), keys.ca_file, self.node.api_url).transport(), user.name)

    async def linked(self) -> None:
        """The addresses that this machine has for the cluster are on its link; nobody can listen there before."""
        from wherry.assembly.networks import ensure_link

        async with self._link:
            if not self._is_linked:
                await ensure_link(self.node)
                self._is_linked = True

    @cached_property
    def node_client(self) -> "Client":
        """As this node."""
        from wherry.assembly.identity import client, identity

        own = identity(self.node, "node")
        transport = own.transport()
        self.keep_fresh(own, transport.use_pair)
        return client(transport, "agent")

    @cached_property
    def node_informers(self) -> "Informers":
        """What this node may see, once for all that look."""
        from wherry.orchestration.client.informers import Informers

        informers = Informers(self.node_client)
        self._tasks.create_task(keep_running("informers", informers.run), name="informers")
        return informers

    @cached_property
    def node_tls(self) -> "ssl.SSLContext":
        """For the listeners of this node."""
        from wherry.assembly.identity import identity

        own = identity(self.node, "node-serving")
        context = own.server_tls()
        self.keep_fresh(own, context.load_cert_chain)
        return context

    @cached_property
    def images(self) -> "Images":
        """The node's images, with other registries behind them."""
        from wherry.assembly.images import mounted_layers, open_images

        return open_images(self.node, pulls=True, in_use=lambda: mounted_layers(self.node))

    def keep_fresh(self, own: "Identity", use: "Use") -> None:
        """Hand the identity's file to `use` whenever it is renewed."""
        from wherry.assembly.identity import keep_taken_up

        name = f"certificate of {own.who}"
        self._tasks.create_task(keep_running(name, lambda: keep_taken_up(own, use)), name=name)
