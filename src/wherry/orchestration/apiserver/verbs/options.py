"""The options of list and watch, read and checked once.

Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wherry.kit.errors import Invalid
from wherry.kit.http.message import Request
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import TRUE
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.fields import FieldReader
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.objects.selectors import FieldSelector, LabelSelector, parse_fields, parse_labels

Matches = Callable[[Cached], bool]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """As the query says. `revision` is None when it was left out."""

    labels: LabelSelector
    fields: FieldSelector
    limit: int = 0
    continue_: str = ""
    revision: int | None = None
    match: str = ""
    timeout_s: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None

    @property
    def selects(self) -> bool:
        """Whether a selector may leave objects out."""
        return bool(self.fields.requirements) or not self.labels.is_everything


def read_options(request: Request, served: Served, name: str = "") -> ListOptions:
    """Raise `ApiError` for what upstream refuses. `name` narrows to one object (watch of a single object)."""
    fields_text = request.param("fieldSelector")
    if name:
        fields_text = ",".join(part for part in (fields_text, f"metadata.name={name}") if part)
    try:
        labels = parse_labels(request.param("labelSelector"))
        fields = parse_fields(fields_text)
    except Invalid as error:
        raise errors.bad_request(str(error)) from error
    for path, _, _ in fields.requirements:
        if path not in served.fields.names:
            resource = served.resource
            raise errors.bad_request(
                f'Unable to find "{resource.group}/{resource.version}, Resource={resource.plural}" that match label '
                f'selector "{labels}", field selector "{fields}": field label not supported: {path}')
    timeout = _number(request, "timeoutSeconds")
    initial = request.param("sendInitialEvents")
    return ListOptions(
        labels=labels, fields=fields, limit=_number(request, "limit") or 0, continue_=request.param("continue"),
        revision=_revision(request), match=request.param("resourceVersionMatch"),
        timeout_s=None if timeout is None else float(timeout),
        bookmarks=request.param("allowWatchBookmarks") in TRUE,
        initial_events=None if not initial else initial in TRUE,
    )


def _number(request: Request, name: str) -> int | None:
    text = request.param(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(
            f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax') from None


def _revision(request: Request) -> int | None:
    text = request.param("resourceVersion")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise invalid("resourceVersion", "FieldValueInvalid", f'Invalid value: "{text[:40]}": strconv.ParseUint: '
                      f'parsing "{text[:40]}": invalid syntax')
    return int(text)


def invalid(field: str, reason: str, message: str) -> errors.ApiError:
    """422 about one option."""
    return errors.invalid("meta.k8s.io", "ListOptions", "", [errors.cause(reason, field, message)])


def matcher(served: Served, namespace: str, options: ListOptions) -> Matches | None:
    """Whether an object is selected; None when everything of the resource is."""
    prefix = f"{namespace}/" if namespace else ""
    if not options.selects:
        return (lambda cached: cached.key.startswith(prefix)) if prefix else None
    labels, fields, reader = options.labels, options.fields, served.fields
    if labels.is_everything and all(path.startswith("metadata.") for path, _, _ in fields.requirements):
        return lambda cached: cached.key.startswith(prefix) and fields.matches(
            {"metadata.name": cached.name, "metadata.namespace": cached.namespace}.__getitem__)

    if not fields.requirements and (wanted := labels.equalities()) is not None:
        return _with_labels(wanted, prefix, reader)
    position = reader.position

    def matches(cached: Cached) -> bool:
        if not cached.key.startswith(prefix):
            return False
        found_labels, values = cached.selectable(reader)
        return labels.matches(found_labels) and fields.matches(lambda path: values[position[path]])

    return matches


def _with_labels(wanted: Mapping[str, str], prefix: str, reader: FieldReader) -> Matches:
    """What most selectors are: labels with given values. Thousands of entries are looked at for each list."""
    pairs = tuple(wanted.items())
    if len(pairs) == 1 and not prefix:
        key, value = pairs[0]
        return lambda cached: cached.selectable(reader)[0].get(key) == value

    def matches(cached: Cached) -> bool:
        if not cached.key.startswith(prefix):
            return False
        found = cached.selectable(reader)[0]
        return all(found.get(key) == value for key, value in pairs)

    return matches
