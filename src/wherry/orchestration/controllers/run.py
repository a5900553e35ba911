"""Start every controller: one set of informers, one sink of events, each kept running on its own.

In:    a client with the rights of system:kube-controller-manager, settings, the clock, the machine's volumes.
Out:   runs until cancelled. `controllers()` has upstream's names (kube-controller-manager --controllers).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from wherry.kit.clock import Clock
from wherry.kit.reserved import Reserved
from wherry.kit.supervise import keep_running
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.certificates.loop import APPROVING, CLEANING, SIGNING, Sign
from wherry.orchestration.controllers.certificates.loop import Approver as CertificateApprover
from wherry.orchestration.controllers.certificates.loop import Cleaner as CertificateCleaner
from wherry.orchestration.controllers.certificates.loop import Signer as CertificateSigner
from wherry.orchestration.controllers.cluster_role_aggregation.loop import Controller as ClusterRoleAggregation
from wherry.orchestration.controllers.cronjob.loop import Controller as CronJobs
from wherry.orchestration.controllers.daemonset.loop import Controller as DaemonSets
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.disruption.loop import Controller as Disruption
from wherry.orchestration.controllers.endpoint_slice.loop import Controller as EndpointSlices
from wherry.orchestration.controllers.endpoint_slice_mirroring.loop import Controller as EndpointSliceMirroring
from wherry.orchestration.controllers.endpoints.loop import Controller as Endpoints
from wherry.orchestration.controllers.ephemeral_volume.loop import Controller as EphemeralVolumes
from wherry.orchestration.controllers.garbage_collector.loop import Controller as GarbageCollector
from wherry.orchestration.controllers.job.loop import Controller as Jobs
from wherry.orchestration.controllers.job.orphans import Orphans as JobOrphans
from wherry.orchestration.controllers.lease_cleanup.loop import Controller as LeaseCleanup
from wherry.orchestration.controllers.namespace.loop import Controller as Namespaces
from wherry.orchestration.controllers.node_ipam.decide import NODE_MASK_SIZE
from wherry.orchestration.controllers.node_ipam.loop import Controller as NodeIpam
from wherry.orchestration.controllers.node_lifecycle.loop import Controller as NodeLifecycle
from wherry.orchestration.controllers.not_enforced.loop import Controller as NotEnforced
from wherry.orchestration.controllers.pod_gc.loop import Controller as PodGarbage
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.replicationcontroller.loop import Controller as ReplicationControllers
from wherry.orchestration.controllers.root_ca.loop import Controller as RootCa
from wherry.orchestration.controllers.service_account.loop import Controller as ServiceAccounts
from wherry.orchestration.controllers.service_lb.loop import Controller as LoadBalancers
from wherry.orchestration.controllers.statefulset.loop import Controller as StatefulSets
from wherry.orchestration.controllers.taint_eviction.loop import Controller as TaintEviction
from wherry.orchestration.controllers.token_cleaner.loop import Controller as TokenCleaner
from wherry.orchestration.controllers.volume_binding.loop import Controller as VolumeBinder
from wherry.orchestration.controllers.volume_expansion.loop import Controller as VolumeExpander
from wherry.orchestration.controllers.volume_protection.loop import ClaimController as ClaimProtection
from wherry.orchestration.controllers.volume_protection.loop import VolumeController as VolumeProtection
from wherry.orchestration.controllers.volume_provisioning.loop import Controller as Provisioner
from wherry.orchestration.controllers.volume_provisioning.loop import Volumes

COMPONENT = "controller-manager"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What the controllers of one cluster must know. `root_ca` is PEM; addresses are this machine's, for LoadBalancers."""

    root_ca: str
    sign: Sign  # with the cluster's CA
    cluster_cidr: str
    load_balancer_addresses: tuple[str, ...]
    reserved: Reserved = Reserved()  # ports no load balancer gets, addresses no node's certificate is for
    own_names: frozenset[str] = frozenset({"localhost"})  # what every node answers to, to itself only
    storage_node: str = ""  # whose disk the volumes are on; "": one node has all
    node_cidr_mask_size: int = NODE_MASK_SIZE  # of the range a node gets out of the cluster's


class Running(Protocol):
    """A controller: `run` until cancelled."""

    async def run(self) -> None: ...


Factory = Callable[[Tools], Running]


def controllers(settings: ControllerSettings, volumes: Volumes) -> dict[str, Factory]:
    """All of them by name, in the order they are started: what the first pods of a cluster wait for comes first."""
    return {
        "serviceaccount-controller": ServiceAccounts,
        "root-ca-certificate-publisher-controller": partial(RootCa, root_ca=settings.root_ca),
        "node-lifecycle-controller": NodeLifecycle,
        "node-ipam-controller": partial(
            NodeIpam, cluster_cidr=settings.cluster_cidr, mask_size=settings.node_cidr_mask_size
        ),
        "replicaset-controller": ReplicaSets,
        "deployment-controller": Deployments,
        "statefulset-controller": StatefulSets,
        "daemonset-controller": DaemonSets,
        "job-controller": Jobs,
        "job-orphans": JobOrphans,
        "cronjob-controller": CronJobs,
        "replicationcontroller-controller": ReplicationControllers,
        "endpointslice-controller": EndpointSlices,
        "endpoints-controller": Endpoints,
        "endpointslice-mirroring-controller": EndpointSliceMirroring,
        "persistentvolume-binder-controller": VolumeBinder,
        "wherry.dev/local": partial(Provisioner, storage=volumes, own_node=settings.storage_node),
        "persistentvolume-expander-controller": partial(VolumeExpander, storage=volumes),
        "persistentvolumeclaim-protection-controller": ClaimProtection,
        "persistentvolume-protection-controller": VolumeProtection,
        "ephemeral-volume-controller": EphemeralVolumes,
        "namespace-controller": Namespaces,
        "service-lb-controller": partial(
            LoadBalancers, addresses=settings.load_balancer_addresses, reserved=settings.reserved
        ),
        "garbage-collector-controller": GarbageCollector,
        "taint-eviction-controller": TaintEviction,
        "disruption-controller": Disruption,
        "pod-garbage-collector-controller": PodGarbage,
        "clusterrole-aggregation-controller": ClusterRoleAggregation,
        "lease-cleanup": LeaseCleanup,
        APPROVING: partial(CertificateApprover, reserved=settings.reserved, own_names=settings.own_names),
        SIGNING: partial(CertificateSigner, sign=settings.sign),
        CLEANING: CertificateCleaner,
        "token-cleaner-controller": TokenCleaner,
        "not-enforced": NotEnforced,
    }


async def run_all(client: Client, settings: ControllerSettings, clock: Clock, volumes: Volumes) -> None:
    """Run every controller until cancelled."""
    informers = Informers(client)
    recorder = Recorder(client, COMPONENT, clock=clock)
    tools = Tools(client, informers, recorder, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run(), name="informers")
        tasks.create_task(recorder.run(), name="events")
        for name, make in controllers(settings, volumes).items():
            tasks.create_task(keep_running(name, make(tools).run), name=name)
