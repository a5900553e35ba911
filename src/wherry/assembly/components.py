"""The table of what Wherry runs: one row a component, with its role, its process and what it begins after.

In:    a node's settings.
Out:   the rows of that node, and its processes in the order they start.
How:   a process runs every row that names it; `wherry.assembly.<module>.run(process)` is one row's work until cancelled.
       Which rows share a process is this table's to say. `--without` leaves a row out: something else stands in its place.
"""

from dataclasses import dataclass

from wherry.assembly.node import GATEWAY, SERVER, WORKER, NodeSettings
from wherry.kit.errors import Invalid


@dataclass(frozen=True, slots=True)
class Component:
    """One row. `port`: the field of `NodeSettings` with the port it listens on; "" when it has none.

    `begins_after`: the component whose port is waited for, a while, before this one's process starts.
    `is_vital`: its failure ends the process, which the supervisor starts anew; the others are started again in it.
    `joined_only`: what the server's own node has done for it by the authority on its disk."""

    name: str
    role: str
    process: str
    module: str
    port: str = ""
    begins_after: str = ""
    is_vital: bool = False
    joined_only: bool = False


COMPONENTS = (
    Component("apiserver", SERVER, "server", "api_server", port="api_port", is_vital=True),
    Component("controllers", SERVER, "server", "controllers"),
    Component("scheduler", SERVER, "server", "scheduler"),
    Component("agent", WORKER, "agent", "agent", port="node_port"),
    Component("registry", WORKER, "agent", "registry", port="registry_port"),
    Component("proxy", WORKER, "agent", "proxy"),
    Component("dns", WORKER, "agent", "dns"),
    Component("routes", WORKER, "agent", "node_routes"),
    Component("certificates", WORKER, "agent", "rotation", joined_only=True),
    # Processes that start together share the cores, and the node is what `wherry up` waits for.
    Component("gateway", GATEWAY, "gateway", "gateway", begins_after="agent"),
)
NAMES = tuple(row.name for row in COMPONENTS)
PROCESSES = tuple(dict.fromkeys(row.process for row in COMPONENTS))  # of any node: what `down` and `status` look for


def rows(settings: NodeSettings, process: str | None = None) -> tuple[Component, ...]:
    """What this node runs, in one process or in all."""
    return tuple(
        row for row in COMPONENTS
        if row.role in settings.roles and row.name not in settings.without and process in (None, row.process)
        and (settings.is_joined or not row.joined_only)
    )


def processes(settings: NodeSettings) -> tuple[str, ...]:
    """The processes of this node, in the order they start."""
    return tuple(dict.fromkeys(row.process for row in rows(settings)))


def awaited_port(settings: NodeSettings, process: str) -> int:
    """The port that must answer before `process` starts; 0: it starts at once."""
    here = {row.name: row for row in rows(settings)}
    awaited = (here.get(row.begins_after) for row in rows(settings, process))
    return next((int(getattr(settings, row.port)) for row in awaited if row is not None and row.process != process), 0)


def check(settings: NodeSettings) -> None:
    """Raise `Invalid` when `without` names what is no component."""
    if unknown := set(settings.without) - set(NAMES):
        raise Invalid(f"--without: {', '.join(sorted(unknown))} is no component; one of {', '.join(NAMES)}")
