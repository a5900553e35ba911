"""Send the pod's status to the API: what differs, one patch at a time, the newest state each."""

import logging

from wherry.kit.errors import Conflict, NotFound
from wherry.orchestration.agent.facts.pod import describe, status_of
from wherry.orchestration.agent.plan import status_patch
from wherry.orchestration.agent.pod.context import PodContext
from wherry.orchestration.agent.pod.stage import Stage
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, revision_of, uid_of

log = logging.getLogger(__name__)


class PodReport:
    """`due()` says what to send; `send` sends it."""

    def __init__(self, context: PodContext) -> None:
        self._context = context
        self._last: tuple[str, Object] | None = None

    def due(self) -> Object | None:
        """The patch, or None: nothing to say, or the server keeps saying it otherwise and does not want to hear it."""
        pod = self._context.pod
        if self._context.is_gone:
            return None
        patch = status_patch.status_patch(pod, status_of(pod), self._context.status())
        return None if patch is None or self._last == (revision_of(pod), patch) else patch

    async def send(self, patch: Object) -> None:
        """One patch; the answer is the newest state of the pod."""
        pod = self._context.pod
        try:
            answer = await self._context.parts.client.patch(
                PODS, name_of(pod), namespace_of(pod), patch,
                content_type=status_patch.CONTENT_TYPE, subresource="status",
            )  # fmt: skip
        except NotFound as error:  # a conflict is tried again: a server under load gives up on a patch with one
            log.debug("pod %s: status not taken: %s", describe(pod), error)
            self._last = (revision_of(pod), patch)
            return
        self._context.take(answer)
        self._last = (revision_of(self._context.pod), patch)

    async def delete(self) -> None:
        """The pod has ended and said so: remove the object for good."""
        pod = self._context.pod
        try:
            await self._context.parts.client.delete(
                PODS, name_of(pod), namespace_of(pod), uid=self._context.uid, grace_s=0
            )
        except NotFound:
            self._context.is_gone = True
        except Conflict:
            if not await self._is_anothers(pod):
                raise
            self._context.is_gone = True
        self._context.advance(Stage.DELETED)

    async def _is_anothers(self, pod: Object) -> bool:
        """The name belongs to another pod by now, or to none."""
        try:
            return uid_of(await self._context.parts.client.get(PODS, name_of(pod), namespace_of(pod))) != self._context.uid
        except NotFound:
            return True
