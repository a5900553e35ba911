"""Hostnames with wildcards: does one cover another, what do two have in common, which is more specific.

Spec:  Gateway API v1 HTTPRoute.spec.hostnames and Listener.hostname: `*.example.com` stands for one label or more.
"""

import re
from collections.abc import Iterable

from wherry.application.gateway.model.values import ANY_HOST

_NAME = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LENGTH_MAX = 253


def is_hostname(text: str) -> bool:
    """True for a DNS name in lower case, with or without a leading `*.`."""
    return len(text) <= LENGTH_MAX and _NAME.fullmatch(text) is not None


def covers(pattern: str, host: str) -> bool:
    """True when every name that `host` stands for, `pattern` stands for too."""
    if pattern in (ANY_HOST, host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:]


def intersection(left: str, right: str) -> str:
    """The narrower of the two, "" when no name is in both."""
    if covers(left, right):
        return right
    return left if covers(right, left) else ""


def specificity(host: str) -> tuple[int, int]:
    """Greater is more specific: names before wildcards, longer wildcards before shorter ones, `*` last."""
    if host == ANY_HOST:
        return (0, 0)
    return (1, len(host)) if host.startswith("*.") else (2, len(host))


def most_specific(patterns: Iterable[str], host: str) -> str:
    """The most specific of `patterns` that covers `host`, "" when none does."""
    return max((pattern for pattern in patterns if covers(pattern, host)), key=specificity, default="")
