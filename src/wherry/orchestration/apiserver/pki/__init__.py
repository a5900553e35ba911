"""Keys, certificates and kubeconfigs of the cluster."""

from wherry.orchestration.apiserver.pki import kubeconfig
from wherry.orchestration.apiserver.pki.files import FRONT_PROXY_CLIENT, Authority, ensure
from wherry.orchestration.apiserver.pki.kubeconfig import document, merge_into, remove_from
from wherry.orchestration.apiserver.pki.renewal import keep_renewed

__all__ = ["FRONT_PROXY_CLIENT", "Authority", "document", "ensure", "keep_renewed", "kubeconfig", "merge_into", "remove_from"]
