"""The gRPC health check, spoken without generated code: one string out, one enum back.

Spec:  grpc.health.v1.Health/Check; SERVING = 1.
Cost:  importing grpcio takes 0.1 s and some 10 MB, so it happens at the first gRPC probe of a node, not at start.
"""

import asyncio

METHOD = "/grpc.health.v1.Health/Check"
SERVING = 1
_SERVICE_TAG = 0x0A  # field 1, length-delimited
_STATUS_TAG = 0x08  # field 1, varint


async def check(host: str, port: int, service: str, *, timeout_s: float) -> tuple[bool, str]:
    """(is serving, text for the event)."""
    import grpc

    channel = grpc.aio.insecure_channel(f"{host}:{port}", options=(("grpc.primary_user_agent", "kube-probe/1.37"),))
    try:
        async with asyncio.timeout(timeout_s):
            call = channel.unary_unary(METHOD, request_serializer=encode_request, response_deserializer=decode_status)
            status = await call(service)
    except TimeoutError:
        return (
            False,
            f'timeout: failed to connect service "{host}:{port}" within {timeout_s:g}s: context deadline exceeded',
        )
    except grpc.aio.AioRpcError as error:
        return (
            False,
            f"error: this server does not implement the grpc health protocol or does not answer: {error.details()}",
        )
    finally:
        await channel.close()
    return (True, "service healthy") if status == SERVING else (False, f"service unhealthy (responded with {status})")


def encode_request(service: str) -> bytes:
    """HealthCheckRequest."""
    data = service.encode()
    if not data:
        return b""
    length, size = len(data), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([_SERVICE_TAG]) + size + bytes([length]) + data


def decode_status(data: bytes) -> int:
    """HealthCheckResponse.status; 0 (UNKNOWN) when absent."""
    return data[1] & 0x7F if len(data) >= 2 and data[0] == _STATUS_TAG else 0
