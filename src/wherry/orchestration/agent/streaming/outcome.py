"""How an exec or attach ended, in the words clients read from the error stream.

In:    an exit code or an error.
Out:   a metav1.Status as a dict (protocol v4 and later) or plain text (before).
Spec:  k8s.io/apimachinery util/remotecommand constants.go; kubelet remotecommand v4WriteStatusFunc.
"""

from typing import Any

import orjson

Status = dict[str, Any]


def of_exit_code(code: int) -> Status:
    """`Success`, or a Failure from which clients take their own exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def of_error(error: Exception) -> Status:
    """The command could not be run, or its streams broke."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {error}",
        "reason": "InternalError",
        "details": {"causes": [{"message": str(error)}]},
        "code": 500,
    }


def encoded(status: Status, *, as_json: bool) -> bytes:
    """The bytes for the error stream; nothing for a success before v4."""
    if as_json:
        return orjson.dumps(status)
    return b"" if status["status"] == "Success" else str(status["message"]).encode()
