"""What the kinds of certificates.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, same, special
from wherry.orchestration.apiserver.strategies.kinds import CertificateRequestStrategy
from wherry.orchestration.apiserver.tables import access
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.CERTIFICATE_SIGNING_REQUESTS, "A request for a certificate, to be approved and signed.",
        strategy=special(CertificateRequestStrategy), columns=access.CERTIFICATE_SIGNING_REQUEST, fields=same("spec.signerName")),
    Sheet(
        kinds.CLUSTER_TRUST_BUNDLES, "Certificates that a signer's certificates are checked against.",
        columns=access.CLUSTER_TRUST_BUNDLE, fields=same("spec.signerName")),
    Sheet(kinds.POD_CERTIFICATE_REQUESTS, "A pod's request for a certificate.", fields=same("spec.signerName", "spec.nodeName")),
)
