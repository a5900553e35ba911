"""Approve what a node asks for itself, sign what is approved, remove what nobody needs any longer.

In:    informers of CertificateSigningRequests and nodes; a signer that has the cluster's CA.
Out:   conditions Approved and Failed (SignerValidationFailure), status.certificate; stale requests deleted.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from cryptography import x509

from wherry.kit.clock import rfc3339
from wherry.kit.errors import Invalid, NotFound, WherryError
from wherry.kit.reserved import Reserved
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.controllers.certificates import decide
from wherry.orchestration.controllers.certificates.asked import NODE_PREFIX, Asked, read
from wherry.orchestration.objects.kinds import CERTIFICATE_SIGNING_REQUESTS, NODES, SUBJECT_ACCESS_REVIEWS
from wherry.orchestration.objects.meta import Object, name_of, revision_of, uid_of

SIGNING, APPROVING, CLEANING = (
    f"certificatesigningrequest-{what}-controller" for what in ("signing", "approving", "cleaner")
)
CLEAN_PERIOD_S = 3600.0

log = logging.getLogger(__name__)

# (PKCS #10 request as PEM, usages in the API's words, moment, life) -> certificate as PEM
Sign = Callable[[bytes, Collection[str], datetime, timedelta], bytes]


class Signer(Loop[str]):
    """certificatesigningrequest-signing-controller: the four signers whose CA is the cluster's."""

    name = SIGNING
    workers = 2
    watches = (Watch(CERTIFICATE_SIGNING_REQUESTS),)

    def __init__(self, tools: Tools, sign: Sign) -> None:
        super().__init__(tools)
        self._sign = sign

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to one request."""
        csr = seen[CERTIFICATE_SIGNING_REQUESTS].get(key)
        if csr is None or not decide.is_to_sign(csr):
            return
        now = self.clock.now()
        status = dict(csr.get("status") or {})
        try:
            asked = read(csr)
            fault = decide.signer_fault(asked)
            if not fault:
                signed = self._sign(asked.pem, asked.usages, now, decide.life(csr))
                status["certificate"] = base64.b64encode(signed).decode()
        except Invalid as error:
            fault = str(error)
        if fault:
            status["conditions"] = [*(status.get("conditions") or ()), _condition("Failed", "SignerValidationFailure", fault, now)]
        await self.client.update_status(CERTIFICATE_SIGNING_REQUESTS, {**csr, "status": status})


def _of_the_node(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """A request may have come before its Node showed its addresses."""
    if new is None or (old or {}).get("status", {}).get("addresses") == (new.get("status") or {}).get("addresses"):
        return
    for csr in seen[CERTIFICATE_SIGNING_REQUESTS].list():
        if csr["spec"].get("username") == NODE_PREFIX + name_of(new) and decide.is_to_approve(csr):
            yield name_of(csr)


class Approver(Loop[str]):
    """certificatesigningrequest-approving-controller: kubelets' client certificates as upstream; their serving ones when
    they are for the node's own name and addresses."""

    name = APPROVING
    workers = 2
    watches = (Watch(CERTIFICATE_SIGNING_REQUESTS), Watch(NODES, _of_the_node))

    def __init__(self, tools: Tools, reserved: Reserved, own_names: Collection[str]) -> None:
        super().__init__(tools)
        self._reserved, self._own_names = reserved, own_names

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to one request."""
        csr = seen[CERTIFICATE_SIGNING_REQUESTS].get(key)
        if csr is None or not decide.is_to_approve(csr):
            return
        try:
            asked = read(csr)
        except Invalid as error:
            log.info("%s", error)
            return
        message = await self._approval(csr, asked, seen)
        if message:
            status = dict(csr.get("status") or {})
            row = _condition("Approved", "AutoApproved", message, self.clock.now())
            status["conditions"] = [*(status.get("conditions") or ()), row]
            await self.client.update(CERTIFICATE_SIGNING_REQUESTS, {**csr, "status": status}, subresource="approval")

    async def _approval(self, csr: Object, asked: Asked, seen: Seen) -> str:
        for one in decide.recognized(asked):
            if await self._may_create(csr, one.subresource):
                return one.message
            log.info("recognized csr %s as %s but subject access review was not approved", name_of(csr), one.subresource)
        node = seen[NODES].get(asked.common_name.removeprefix(NODE_PREFIX))
        others = [other for other in seen[NODES].list() if other is not node]
        is_own = decide.is_own_serving(asked, node, others, self._reserved, self._own_names)
        return decide.SERVING_APPROVED if is_own else ""

    async def _may_create(self, csr: Object, subresource: str) -> bool:
        spec = csr["spec"]
        attributes = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "subresource": subresource,
                      "verb": "create", "version": "*"}
        review = {"spec": {"user": spec.get("username", ""), "uid": spec.get("uid", ""), "groups": spec.get("groups") or [],
                           "extra": spec.get("extra") or {}, "resourceAttributes": attributes}}
        answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool(answer["status"].get("allowed"))


class Cleaner:
    """certificatesigningrequest-cleaner-controller."""

    def __init__(self, tools: Tools) -> None:
        self._client, self._clock = tools.client, tools.clock
        self._requests = tools.informers.of(CERTIFICATE_SIGNING_REQUESTS)

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._requests.wait_synced()
        while True:
            try:
                await self.sweep()
            except WherryError as error:
                log.warning("stale certificate requests were not removed: %s", error)
            await asyncio.sleep(CLEAN_PERIOD_S)

    async def sweep(self) -> None:
        """One pass."""
        now = self._clock.now()
        for csr in self._requests.list():
            if decide.is_stale(csr, _issued(csr), now):
                try:
                    await self._client.delete(
                        CERTIFICATE_SIGNING_REQUESTS, name_of(csr), uid=uid_of(csr), revision=revision_of(csr)
                    )
                except NotFound:
                    continue


def _issued(csr: Object) -> x509.Certificate | None:
    text = (csr.get("status") or {}).get("certificate")
    try:
        return x509.load_pem_x509_certificate(base64.b64decode(text)) if text else None
    except (ValueError, binascii.Error):
        return None


def _condition(kind: str, reason: str, message: str, now: datetime) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": rfc3339(now), "lastTransitionTime": rfc3339(now)}
