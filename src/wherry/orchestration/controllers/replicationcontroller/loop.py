"""Keep every ReplicationController at its number of pods: the ReplicaSet controller in another flavor."""

from wherry.kit.clock import Clock
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.replicaset import loop
from wherry.orchestration.controllers.replicaset.decide import REPLICATION_CONTROLLER


class Controller(loop.Controller):
    """See `replicaset.loop.Controller`."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        super().__init__(client, informers, recorder, clock, REPLICATION_CONTROLLER)
