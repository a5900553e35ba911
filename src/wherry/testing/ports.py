"""Ports for servers of tests.

Out:   numbers that nothing on this machine listens on, TCP or UDP, and that nobody else is given by chance: below the
       kernel's range for outgoing connections (ip_local_port_range, 32768 and up) and below upstream's node ports (30000).
"""

import contextlib
import secrets
import socket

FIRST, COUNT = 20_000, 10_000
_given: set[int] = set()


def free_port() -> int:
    """A port that is free now; this process is not given it twice."""
    while True:
        port = FIRST + secrets.randbelow(COUNT)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", port))
        except OSError:
            return False
    return True
