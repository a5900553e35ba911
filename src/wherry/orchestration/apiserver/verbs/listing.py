"""LIST: consistent pages at one revision, from the cache while it is that revision, else from the store's history.

Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks ;
       continue tokens as upstream writes them: base64url of {"v":"meta.k8s.io/v1","rv":N,"start":"key\\u0000"}.
"""

import base64
import binascii

import orjson

from wherry.kit.errors import TimedOut
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.rendering import Listing
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.apiserver.verbs.options import ListOptions, Matches, invalid, matcher
from wherry.orchestration.objects.meta import META_API_VERSION
from wherry.orchestration.store.contract import Compacted, FutureRevision

NODE_NAME = "spec.nodeName"  # the field that every node selects its Pods by
INCONSISTENT = -1  # revision of a token that goes on at the newest revision
STORE_PAGE = 500
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


async def list_objects(registry: Registry, served: Served, namespace: str, options: ListOptions) -> Listing:
    """The page that `options` ask for. Raise `ApiError` 410, 422 or 504."""
    _check(options)
    if options.continue_:
        revision, after = _read_token(options.continue_)
        return await _continued(registry, served, namespace, options, revision, after)
    asked = options.revision
    if options.selects:
        await _warm(served, options)
    if asked is None:
        await registry.fresh()
    elif asked > 0:
        await _wait_for(registry, asked)
        is_exact = options.match == "Exact" or (options.limit > 0 and not options.match)
        if is_exact and served.cache.revision > asked:
            return await _from_store(registry, served, namespace, options, asked, "")
        if is_exact:
            return _from_cache(served, namespace, options, asked, "")
    return _from_cache(served, namespace, options, registry.revision, "")


async def _warm(served: Served, options: ListOptions) -> None:
    """Have ready what the selectors will look at; what changes meanwhile is parsed when it is met."""
    cache, reader = served.cache, served.fields
    if options.fields.exact(NODE_NAME) and NODE_NAME in reader.names:
        await cache.indexed(reader, reader.position[NODE_NAME])
    elif not options.fields.exact("metadata.name"):
        await cache.warm(reader)


def _check(options: ListOptions) -> None:
    if options.match and options.revision is None:
        raise invalid("resourceVersionMatch", "FieldValueForbidden",
                      "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
    if options.match and options.match not in ("Exact", "NotOlderThan"):
        raise invalid("resourceVersionMatch", "FieldValueNotSupported", f'Unsupported value: "{options.match[:40]}": '
                      'supported values: "Exact", "NotOlderThan"')
    if options.match == "Exact" and options.revision == 0:
        raise invalid("resourceVersionMatch", "FieldValueForbidden",
                      'Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
    if options.initial_events is not None:
        raise invalid("sendInitialEvents", "FieldValueForbidden",
                      "Forbidden: sendInitialEvents is forbidden for list")
    if options.continue_ and options.revision:
        raise errors.bad_request("specifying resource version is not allowed when using continue")


async def _wait_for(registry: Registry, revision: int) -> None:
    if registry.revision >= revision:
        return
    try:
        await registry.reached(revision)
    except TimedOut as error:
        raise errors.too_large_revision(revision, registry.revision) from error


async def _continued(
    registry: Registry, served: Served, namespace: str, options: ListOptions, revision: int, after: str,
) -> Listing:
    if revision == INCONSISTENT:
        await registry.fresh()
        return _from_cache(served, namespace, options, registry.revision, after)
    if served.cache.revision <= revision <= registry.revision:
        return _from_cache(served, namespace, options, revision, after)
    try:
        return await _from_store(registry, served, namespace, options, revision, after)
    except errors.ApiError as error:
        if error.code != 410:
            raise
        token = _token(INCONSISTENT, after)
        raise errors.ApiError(410, "Expired", CONTINUE_EXPIRED, list_meta={"continue": token}) from error


def _from_cache(served: Served, namespace: str, options: ListOptions, revision: int, after: str) -> Listing:
    items = served.cache.items
    matches = matcher(served, "", options) if options.selects else None
    keys = served.cache.keys(namespace, after) if matches is None else _candidates(served, namespace, options, after)
    limit = options.limit
    if matches is None:
        if not limit or len(keys) <= limit:
            return Listing([items[key] for key in keys], revision)
        page = [items[key] for key in keys[:limit]]
        return Listing(page, revision, _token(revision, page[-1].key), len(keys) - limit)
    found: list[Cached] = []
    for key in keys:
        item = items[key]
        if matches(item):
            if limit and len(found) == limit:
                return Listing(found, revision, _token(revision, found[-1].key))
            found.append(item)
    return Listing(found, revision)


def _candidates(served: Served, namespace: str, options: ListOptions, after: str) -> list[str]:
    """Keys that may match: one, those of one node, or all."""
    name, node = options.fields.exact("metadata.name"), options.fields.exact(NODE_NAME)
    if name and (namespace or not served.resource.namespaced):
        key = served.key(namespace, name)
        return [key] if key in served.cache.items and key > after else []
    index = served.cache.index if node else None
    if node and index is not None and index.fields is served.fields:
        return index.keys(node, namespace, after)
    return served.cache.keys(namespace, after)


async def _from_store(
    registry: Registry, served: Served, namespace: str, options: ListOptions, revision: int, after: str,
) -> Listing:
    cache = served.cache
    prefix = cache.prefix + (f"{namespace}/" if namespace else "")
    start = cache.prefix + after if after else ""
    matches: Matches | None = matcher(served, "", options) if options.selects else None
    found: list[Cached] = []
    while True:
        try:
            page = await registry.store.list(
                prefix, after=start, limit=STORE_PAGE if matches else options.limit, revision=revision)
        except Compacted as error:
            raise errors.expired("The provided resource version is too old to display a consistent list") from error
        except FutureRevision as error:
            raise errors.too_large_revision(revision, registry.revision) from error
        for entry in page.entries:
            item = registry.open_entry(cache, entry.key, entry.value, entry.modified, entry.created)
            if matches is None or matches(item):
                if options.limit and len(found) == options.limit:
                    return Listing(found, revision, _token(revision, found[-1].key))
                found.append(item)
        if matches is None:
            more = page.more and page.entries
            token = _token(revision, found[-1].key) if more else ""
            return Listing(found, revision, token, page.remaining if more else None)
        if not page.more:
            return Listing(found, revision)
        start = page.entries[-1].key


def _token(revision: int, last_key: str) -> str:
    body = orjson.dumps({"v": META_API_VERSION, "rv": revision, "start": f"{last_key}\x00"})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _read_token(text: str) -> tuple[int, str]:
    try:
        body = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if body["v"] != META_API_VERSION:
            raise ValueError(body["v"])
        return int(body["rv"]), str(body["start"]).rstrip("\x00")
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
