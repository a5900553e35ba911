"""Which of the cluster's nodes runs a component that only one may run.

In:    the process, a client with the component's account, upstream's name of the Lease. Out: a candidate that is this node.
How:   the identity is the node's, not a process's: a component that was killed goes on at once, and a node has one of each.
"""

from wherry.assembly.shared import Process
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.leader_election import Election
from wherry.orchestration.client.recorder import Recorder


def candidate(process: Process, client: Client, name: str, recorder: Recorder) -> Election:
    """Upstream's identity is the host's name and a UUID; the id of the data dir stands for that."""
    return Election(client, name, f"{process.node.node_name}_{process.node.id}", process.clock, recorder)
