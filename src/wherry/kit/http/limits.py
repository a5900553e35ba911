"""What a stranger may cost the server: sizes, counts and waits of the HTTP front.

In:    nothing; the defaults are for an API server on a small machine.
Out:   a frozen `Limits`. Times in seconds, sizes in bytes.
Never: reads the environment; whoever calls `serve` passes other values.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit of one server. What happens past each is said beside it."""

    connections_max: int = 10_000  # 503 and close
    head_bytes_max: int = 64 * 1024  # request line and headers; 431
    headers_max: int = 256  # 431
    head_timeout_s: float = 20.0  # first byte to the empty line; 408
    idle_timeout_s: float = 180.0  # between requests; close. Above Go's 90 s so that the client closes first
    body_stall_s: float = 60.0  # no byte of a body the handler waits for; the handler sees `BodyBroken`
    write_stall_s: float = 600.0  # the client takes nothing; abort. Long: `logs -f | less` is legitimate
    half_closed_s: float = 2.0  # for an answer to a client that ended its side, or left: it looks the same; abort
    body_buffer_bytes: int = 256 * 1024  # unread body per connection before the socket is no longer read
    small_body_bytes: int = 64 * 1024  # bodies up to this are handed over whole
    pipelined_max: int = 16  # waiting requests per connection before the socket is no longer read
    linger_s: float = 2.0  # after an early answer or an upgrade, discard what the client still sends; close
    tls_handshake_s: float = 10.0  # close
    close_grace_s: float = 1.0  # on shutdown, time for answers under way; then cut
