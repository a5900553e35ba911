"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: ask the webhooks that were registered.

Mutating ones are asked one after the other, a second time when they wish it and others changed the object after them;
validating ones at the same time.
"""

import asyncio
import logging
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from wherry.kit.errors import TimedOut, Unavailable
from wherry.kit.http import splice
from wherry.kit.http.message import Request
from wherry.kit.http.tls import client_context
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission import webhook_rules as rules
from wherry.orchestration.apiserver.admission.chain import AdmissionRequest, Plugin
from wherry.orchestration.apiserver.registry.endpoints import place_behind
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import (
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 3 * 1024 * 1024
TIMEOUT_S = 10.0
NO_SIDE_EFFECTS = ("None", "NoneOnDryRun")

_trusting = lru_cache(64)(client_context)


class Webhooks(Plugin):
    """Both plugins; put it behind all plugins that change objects and before those that only refuse."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._known: dict[Resource, tuple[int, list[rules.Hook]]] = {}

    async def admit(self, request: AdmissionRequest) -> None:
        hooks = self._matching(MUTATING_WEBHOOK_CONFIGURATIONS, request)
        if not hooks or request.obj is None:
            return
        changed_by: list[int] = []
        for index, hook in enumerate(hooks):
            if await self._mutate(hook, request):
                changed_by.append(index)
        for index, hook in enumerate(hooks):
            is_again = hook.get("reinvocationPolicy") == "IfNeeded" and any(other > index for other in changed_by)
            if is_again:
                await self._mutate(hook, request)

    async def validate(self, request: AdmissionRequest) -> None:
        hooks = self._matching(VALIDATING_WEBHOOK_CONFIGURATIONS, request)
        if not hooks:
            return
        answers = await asyncio.gather(*(self._ask(hook, request) for hook in hooks))
        for hook, answer in zip(hooks, answers, strict=True):
            if answer is not None and not answer["allowed"]:
                raise rules.denial(hook, answer)

    def _matching(self, kind: Resource, request: AdmissionRequest) -> list[rules.Hook]:
        revision = self._source.revision(kind)
        known = self._known.get(kind)
        if known is None or known[0] != revision:
            known = self._known[kind] = (revision, list(rules.hooks_of(self._source.list(kind))))
        if not known[1]:
            return []
        namespace: Object | None = None
        if request.place == ("", "namespaces"):
            namespace = request.obj or request.old
        elif request.namespace:
            namespace = self._source.get(NAMESPACES, "", request.namespace)
        return [hook for hook in known[1] if rules.matches(hook, request, namespace)]

    async def _mutate(self, hook: rules.Hook, request: AdmissionRequest) -> bool:
        """Whether the object was changed."""
        answer = await self._ask(hook, request)
        if answer is None:
            return False
        if not answer["allowed"]:
            raise rules.denial(hook, answer)
        assert request.obj is not None
        changed = rules.patched(hook, answer, request.obj)
        if changed is None or changed == request.obj:
            return False
        request.obj = changed
        request.is_foreign = True
        return True

    async def _ask(self, hook: rules.Hook, request: AdmissionRequest) -> Object | None:
        """The response; None when it could not be had and the policy is to go on. Raise `ApiError` otherwise."""
        if request.is_dry_run and hook.get("sideEffects") not in NO_SIDE_EFFECTS:
            raise errors.bad_request(f'admission webhook "{hook["name"]}" does not support dry run')
        try:
            uid = str(uuid4())
            answer = rules.read_answer(hook, uid, await self._post(hook, orjson.dumps(rules.review(request, uid))))
        except rules.WebhookFailed as error:
            if hook.get("failurePolicy", "Fail") == "Fail":
                raise
            log.warning("ignored: %s", error)
            return None
        for text in answer.get("warnings") or ():
            request.warnings.append(str(text))
        return answer

    async def _post(self, hook: rules.Hook, body: bytes) -> bytes:
        config = hook["clientConfig"]
        timeout_s = float(hook.get("timeoutSeconds") or TIMEOUT_S)
        try:
            host, port, path, name = self._address(config)
            tls = _trusting(config.get("caBundle") or "")
            headers = {"content-type": "application/json", "accept": "application/json", "host": name}
            async with asyncio.timeout(timeout_s):
                answer = await splice.forward(
                    Request("POST", path, path, headers={**headers, "content-length": str(len(body))}, body=body),
                    host=host, port=port, target=f"{path}?timeout={timeout_s:g}s", tls=tls, server_name=name)
                data = await splice.whole(answer, ANSWER_BYTES_MAX)
        except TimeoutError as error:
            raise rules.failed(hook, "failed to call webhook: context deadline exceeded") from error
        except (Unavailable, TimedOut, OSError) as error:
            raise rules.failed(hook, f"failed to call webhook: {error}") from error
        if answer.status != 200:
            raise rules.failed(hook, f"failed to call webhook: the server responded with status {answer.status}")
        return data

    def _address(self, config: Object) -> tuple[str, int, str, str]:
        """(host, port, path, name in the certificate). Raise `Unavailable`."""
        if config.get("url"):
            url = urlsplit(config["url"])
            return url.hostname or "", url.port or 443, url.path or "/", url.hostname or ""
        wanted = config["service"]
        namespace, name, port = wanted["namespace"], wanted["name"], wanted.get("port") or 443
        host, number = place_behind(self._source, namespace, name, port)
        return host, number, wanted.get("path") or "/", f"{name}.{namespace}.svc"
