"""Keys, certificates and kubeconfigs of the cluster."""

from wherry.orchestration.apiserver.pki.files import Pki, ensure
from wherry.orchestration.apiserver.pki.kubeconfig import document, merge_into

__all__ = ["Pki", "document", "ensure", "merge_into"]
