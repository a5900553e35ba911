"""The component `registry`: the node's images over HTTPS, for builds and for kubectl's neighbours.

In:    the node's settings and identity. Out: a registry on the registry port.
"""

from wherry.assembly.images import serve_registry
from wherry.assembly.shared import Process


async def run(process: Process) -> None:
    """Run until cancelled."""
    await process.linked()
    await serve_registry(process.node, process.node_tls, process.images)
