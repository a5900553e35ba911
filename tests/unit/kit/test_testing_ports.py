"""Ports that tests give their servers."""

import socket

import pytest

from wherry.testing import ports


def test_no_port_is_given_twice_and_none_from_a_range_of_the_kernel_or_of_services() -> None:
    given = [ports.free_port() for _ in range(200)]
    assert len(set(given)) == 200
    assert all(20_000 <= port < 30_000 for port in given)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_somebody_has_is_not_given(kind: socket.SocketKind, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", ports.free_port()))
        held, free = taken.getsockname()[1], ports.free_port()
        offers = iter([held, free])
        monkeypatch.setattr(ports, "_given", set())
        monkeypatch.setattr(ports.secrets, "randbelow", lambda count: next(offers) - ports.FIRST)
        assert ports.free_port() == free
