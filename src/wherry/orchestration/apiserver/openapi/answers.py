"""The HTTP face of the documents: paths, media types, ETags.

In:    a path below /openapi, the Accept and If-None-Match headers, the `hash` query parameter.
Out:   a `Response`, or None for a path that is not here.
Spec:  what client-go asks for: /openapi/v2 as protobuf, /openapi/v3 and /openapi/v3/<path>?hash=... as JSON.
"""

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver.openapi.documents import Documents

JSON = "application/json"
PROTOBUF_ASKED = ("com.github.proto-openapi.spec.v2@v1.0+protobuf", "com.github.proto-openapi.spec.v2.v1.0+protobuf")
# Not the media type that was asked for: Go's mime parser takes no "@", and upstream answers with this one too.
PROTOBUF_SENT = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
IMMUTABLE = "public, immutable, max-age=31536000"


def answer(
    documents: Documents, path: str, *, accept: str = "", if_none_match: str = "", fingerprint: str = ""
) -> Response | None:
    """Answer a GET. `fingerprint` is the `hash` of the query: when it is the current one, the answer never changes."""
    path = path.rstrip("/")
    if path == "/openapi/v2":
        return _answer_v2(documents, accept, if_none_match)
    if path == "/openapi/v3":
        return Response(200, [("content-type", JSON), ("vary", "Accept")], documents.v3_index())
    name = path.removeprefix("/openapi/v3/")
    etag = documents.v3_hash(name) if name != path else ""
    if not etag:
        return None
    headers = [("etag", f'"{etag}"'), ("vary", "Accept")]
    if fingerprint == etag:
        headers.append(("cache-control", IMMUTABLE))
    if _matches(if_none_match, etag):
        return Response(304, headers, b"")
    body = documents.v3_group_version(name)
    assert body is not None, "a path with a hash has a document"
    return Response(200, [("content-type", JSON), *headers], body)


def _answer_v2(documents: Documents, accept: str, if_none_match: str) -> Response:
    etag = documents.v2_hash()
    headers = [("etag", f'"{etag}"'), ("vary", "Accept")]
    if _matches(if_none_match, etag):
        return Response(304, headers, b"")
    if any(asked in accept for asked in PROTOBUF_ASKED):
        return Response(200, [("content-type", PROTOBUF_SENT), *headers], documents.v2_protobuf())
    return Response(200, [("content-type", JSON), *headers], documents.v2_json())


def _matches(if_none_match: str, etag: str) -> bool:
    return etag in if_none_match
