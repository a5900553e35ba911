"""The registry's error answers.

Spec: OCI distribution-spec 1.1, "Error Codes".
"""

import json

from wherry.kit.errors import WherryError
from wherry.kit.http.message import Response

STATUSES = {
    "BLOB_UNKNOWN": 404, "BLOB_UPLOAD_INVALID": 400, "BLOB_UPLOAD_UNKNOWN": 404, "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404, "MANIFEST_INVALID": 400, "MANIFEST_UNKNOWN": 404, "NAME_INVALID": 400, "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 413, "UNAUTHORIZED": 401, "DENIED": 403, "UNSUPPORTED": 405, "TOOMANYREQUESTS": 429, "TAG_INVALID": 400,
    "RANGE_INVALID": 416, "PAGINATION_NUMBER_INVALID": 400,
}  # fmt: skip


class Problem(WherryError):
    """A request the registry refuses. `code` is one of the specification's."""

    def __init__(self, code: str, message: str, *, status: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.code = code
        self.status = status or STATUSES[code]
        self.headers = headers
        super().__init__(message)


def answer(problem: Problem) -> Response:
    """The error as the client gets it."""
    body = json.dumps({"errors": [{"code": problem.code, "message": str(problem)[:1000], "detail": None}]}).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body))), *problem.headers]
    return Response(problem.status, headers, body)
