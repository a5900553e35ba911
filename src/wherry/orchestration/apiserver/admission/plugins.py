"""The plugins that are on, in upstream's order."""

from wherry.orchestration.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateIdentity,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from wherry.orchestration.apiserver.admission.chain import Chain, Plugin
from wherry.orchestration.apiserver.admission.defaults import ClaimResize, DefaultClasses, StorageProtection, TaintNewNodes
from wherry.orchestration.apiserver.admission.limits import LimitRanger
from wherry.orchestration.apiserver.admission.namespaces import NamespaceLifecycle
from wherry.orchestration.apiserver.admission.node_restriction import NodeRestriction
from wherry.orchestration.apiserver.admission.not_enforced import NotEnforced
from wherry.orchestration.apiserver.admission.perimeter import DenyServiceExternalIPs, ReservedPorts
from wherry.orchestration.apiserver.admission.pod_security import PodSecurity
from wherry.orchestration.apiserver.admission.pods import DefaultTolerationSeconds, Priority, RuntimeClassPlugin
from wherry.orchestration.apiserver.admission.policies import AdmissionPolicies
from wherry.orchestration.apiserver.admission.roles import RoleEscalation
from wherry.orchestration.apiserver.admission.service_accounts import ServiceAccountPlugin
from wherry.orchestration.apiserver.admission.webhooks import Webhooks
from wherry.orchestration.apiserver.call.access import Access
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.source import ObjectSource


def default_chain(
    source: ObjectSource, registry: Registry, access: Access, quotas: Plugin, settings: ApiServerSettings
) -> Chain:
    """The chain of an API server. `quotas` comes last: it counts what all others let through."""
    return Chain([
        NamespaceLifecycle(source, registry),
        LimitRanger(source),
        ServiceAccountPlugin(source),
        NodeRestriction(source, access.authorizer),
        TaintNewNodes(),
        Priority(source),
        DefaultTolerationSeconds(),
        StorageProtection(),
        DefaultClasses(source),
        ClaimResize(source),
        RuntimeClassPlugin(source),
        CertificateIdentity(),
        CertificateApproval(access.authorizer),
        CertificateSigning(access.authorizer),
        ClusterTrustBundleAttest(access.authorizer),
        CertificateSubjectRestriction(),
        PodSecurity(source),
        ReservedPorts(settings.reserved),
        DenyServiceExternalIPs(settings.reserved, is_allowed=settings.allows_external_ips),
        RoleEscalation(access.escalation),
        NotEnforced(source, settings.unenforced_policies),
        AdmissionPolicies(source),
        Webhooks(source),
        quotas,
    ])
