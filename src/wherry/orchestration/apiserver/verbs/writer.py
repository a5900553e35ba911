"""Create and update: metadata, defaults, admission, strategy, validation, ownership, then one compare-and-swap.

In:    a `Call` and the object (create), or a function that makes the new object from the newest one (update, patch,
       status, scale and every other subresource).
Out:   the written entry. A write that changes nothing returns the entry as it was; its revision stays.
Never: half applies: everything is decided before the one write. Nor is the event loop held up by what is large: it is
       worked on in a thread (`bodies.beside`), also what a strategy does, so that takes nothing that others may take too.
"""

from collections.abc import Callable
from functools import partial

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, UPDATE, AdmissionRequest, Chain
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.codec import encode, with_revision
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.verbs import metadata as meta
from wherry.orchestration.apiserver.verbs.bodies import beside
from wherry.orchestration.objects.apply import track_update
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.store.contract import RevisionMismatch

RETRIES_MAX = 10  # of updates that lost a race and may be computed again
NAME_TRIES_MAX = 8  # of generated names

Change = Callable[[Object], Object]
Prepare = Callable[[Object, Object], None]


class Writer:
    """See the module docstring."""

    def __init__(self, registry: Registry, chain: Chain, clock: Clock) -> None:
        self.registry = registry
        self.chain = chain
        self.clock = clock

    async def create(self, call: Call, obj: Object, *, is_tracked: bool = False) -> Cached:
        """Raise `ApiError` 409 when the name is taken. `is_tracked`: managedFields are already right (apply)."""
        served = call.served
        meta.check_new(call, obj)
        await self.registry.settled()
        for attempt in range(NAME_TRIES_MAX):
            is_generated = meta.stamp_new(obj, self.clock)
            final = await self._prepared_create(call, obj, is_tracked)
            if call.dry_run:
                async with served.strategy.reserve(final, None, is_dry_run=True):
                    key = served.key_of(final)
                    if await self.registry.read(served.cache, key) is not None:
                        raise errors.already_exists(served.resource, name_of(final))
                    return Cached(key, encode(served.stored(final)), 0, 0)
            try:
                async with served.strategy.reserve(final, None, is_dry_run=False) as commit:
                    cached = await self.registry.put(
                        served.cache, served.key_of(final), served.stored(final), expected=0)
                    commit()
                return cached
            except RevisionMismatch as error:
                if not is_generated:
                    raise errors.already_exists(served.resource, name_of(final)) from error
                if attempt == NAME_TRIES_MAX - 1:
                    raise errors.generate_name_exhausted(served.resource, name_of(final)) from error
                obj["metadata"].pop("name")
        raise AssertionError("unreachable")

    async def _prepared_create(self, call: Call, obj: Object, is_tracked: bool) -> Object:
        served, rules = call.served, call.served.rules
        obj = await beside(call.body_bytes, lambda: rules.default(obj))
        request = self._admission(CREATE, call, name_of(obj), obj, None, "")
        await self.chain.admit(request)

        def decide() -> Object:
            new = _admitted(call, request)
            served.strategy.prepare_create(new)
            served.strategy.stamp(new, None, rfc3339(self.clock.now()))
            rules.complete_status(new, None)
            if not is_tracked:
                new = self._tracked(call, None, new, "")
            rules.check(new, None, "")
            return new

        request.obj = obj = await beside(call.body_bytes, decide)
        await self.chain.validate(request)
        return obj

    async def update(
        self, call: Call, name: str, change: Change, *, subresource: str = "", prepare: Prepare | None = None,
        is_tracked: bool = False,
    ) -> Cached:
        """Write what `change` makes of the newest object; it is called again when another write came between.

        A resourceVersion that differs from the newest one is a conflict, never retried.
        """
        served = call.served
        key = served.key(call.namespace, name)
        for _ in range(RETRIES_MAX):
            current = await self.registry.read(served.cache, key)
            if current is None:
                raise errors.not_found(served.resource, name)
            size_bytes = len(current.data) + call.body_bytes
            old, new = await beside(size_bytes, partial(_changed, call, current, change))
            new = await self._prepared_update(call, new, old, subresource, prepare, is_tracked, size_bytes)
            try:
                return await self._write(call, key, current, new, old)
            except RevisionMismatch:
                continue
        raise errors.conflict(served.resource, name)

    async def _prepared_update(
        self, call: Call, new: Object, old: Object, subresource: str, prepare: Prepare | None, is_tracked: bool,
        size_bytes: int,
    ) -> Object:
        """`old` itself when nothing differs."""
        strategy, rules = call.served.strategy, call.served.rules
        prepared = prepare or (strategy.prepare_status if subresource == "status" else strategy.prepare_update)
        request = self._admission(UPDATE, call, name_of(old), new, old, subresource)
        await self.chain.admit(request)

        def decide() -> Object:
            new = _admitted(call, request)
            prepared(new, old)
            strategy.stamp(new, old, rfc3339(self.clock.now()))
            rules.complete_status(new, old)
            if not is_tracked:
                new = self._tracked(call, old, new, subresource)
            new = meta.without_news_of_time(new, old)
            if new == old:
                return old
            rules.check(new, old, subresource)
            return new

        new = await beside(size_bytes, decide)
        if new is old:
            return old
        request.obj = new
        await self.chain.validate(request)
        return new

    async def _write(self, call: Call, key: str, current: Cached, new: Object, old: Object) -> Cached:
        served = call.served
        if new == old and not meta.is_finished(new):
            return current
        if call.dry_run:
            async with served.strategy.reserve(new, old, is_dry_run=True):
                data = with_revision(encode(served.stored(new)), current.revision)
            return Cached(key, data, current.revision, current.created)
        if meta.is_finished(new):
            revision = await self.registry.delete(served.cache, key, expected=current.revision)
            await served.strategy.released(old)
            return Cached(key, with_revision(encode(served.stored(new)), revision), revision, current.created)
        async with served.strategy.reserve(new, old, is_dry_run=False) as commit:
            written = await self.registry.put(
                served.cache, key, served.stored(new), expected=current.revision, created=current.created)
            commit()
        return written

    def _admission(
        self, operation: str, call: Call, name: str, obj: Object, old: Object | None, subresource: str,
    ) -> AdmissionRequest:
        return AdmissionRequest(
            operation, call.served.resource, call.namespace, name, subresource, call.user, obj, old,
            is_dry_run=call.dry_run, warnings=call.warnings)

    def _tracked(self, call: Call, old: Object | None, new: Object, subresource: str) -> Object:
        served = call.served
        return track_update(
            old, new, served.node, manager=call.field_manager, api_version=served.resource.api_version,
            subresource=subresource, now=self.clock.now(), reset=served.strategy.not_written(subresource))


def _changed(call: Call, current: Cached, change: Change) -> tuple[Object, Object]:
    """The newest object, and what `change` makes of it, defaulted; neither is shared."""
    served = call.served
    old = served.obj(current)
    new = change(served.obj(current))
    meta.check_revision(call, new, old["metadata"]["resourceVersion"])
    meta.carry_over(call, new, old)
    return old, served.rules.default(new)


def _admitted(call: Call, request: AdmissionRequest) -> Object:
    """The object after admission; what a webhook made of it is read and defaulted like a request body."""
    assert request.obj is not None
    if not request.is_foreign:
        return request.obj
    try:
        return call.served.rules.default(call.served.rules.read(request.obj)[0])
    except Invalid as error:
        if isinstance(error, errors.ApiError):
            raise
        raise errors.ApiError(500, "InternalError", f"Internal error occurred: an admission webhook left an object that "
                              f"cannot be read: {error}") from error
