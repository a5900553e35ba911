"""May a user act for a signer: the question that approving, signing and attesting ask.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
"""

from wherry.orchestration.apiserver.auth.authorizer import Attributes, Authorizer
from wherry.orchestration.apiserver.user import User

CERTIFICATES_GROUP = "certificates.k8s.io"


def may_act_for(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """`verb` on the resource `signers`: on `signer` by its name, or on all of its domain (`example.com/*`)."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    return any(
        authorizer.authorize(Attributes(user, verb, CERTIFICATES_GROUP, "*", "signers", name=name)).allowed for name in names)
