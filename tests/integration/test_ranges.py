"""Networks and clusters of tests do not meet on the machine: a range of addresses has one process, and is free when that ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

from wherry.testing.ranges import COUNT, cluster_ranges, own_range, some_subnet

HOLDER = "import sys; from wherry.testing.ranges import own_range; print(*[own_range() for _ in range(40)], flush=True); sys.stdin.read()"


@contextmanager
def another_process() -> Iterator[set[IPv4Network]]:
    """A process and the forty ranges it has."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield {IPv4Network(text) for text in process.stdout.readline().split()}
        process.stdin.close()
        process.wait(10)


def test_no_two_processes_have_one_range_and_it_comes_back_with_the_process() -> None:
    for _ in range(COUNT // 40 + 1):  # more than there are, if those that ended had kept theirs
        with another_process() as first, another_process() as second:
            mine = own_range()
            assert len(first) == len(second) == 40
            assert not first & second and mine not in first | second


def test_pods_and_services_of_a_cluster_are_apart_and_networks_of_one_process_share_a_range() -> None:
    pods, services = map(IPv4Network, cluster_ranges())
    assert not pods.overlaps(services) and services.num_addresses > 256
    one, other = some_subnet(), some_subnet(28)
    assert (one.prefixlen, other.prefixlen) == (24, 28)
    assert one.supernet(new_prefix=16) == other.supernet(new_prefix=16)
    assert not one.overlaps(pods) and not one.overlaps(services)
