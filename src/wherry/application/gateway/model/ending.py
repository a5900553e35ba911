"""Certificates end at a time, not at a change: which have ended, and when the next one does.

In:    the TLS Secrets of a snapshot, the time.
Out:   a table for dialects, by name of the Secret; the moment at which it will be another one.
"""

from datetime import datetime

from wherry.application.gateway.model import certificates
from wherry.application.gateway.model.snapshot import Memo, Reader, Snapshot
from wherry.kit.errors import WherryError
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object

ENDED = "certificates that have ended"  # a table: `namespace/secret` to the datetime of its end


class CertificateEnds:
    """Reads each certificate once."""

    def __init__(self) -> None:
        self._ends: Memo[datetime | None] = Memo()

    def look(self, snapshot: Snapshot, now: datetime) -> tuple[Snapshot, datetime | None]:
        """The snapshot with the table `ENDED`, and when it is to be made again."""
        secrets = snapshot.tables.get(SECRETS.qualified_name, {})
        ends = {name: end for name, obj in secrets.items() if (end := self._ends.of(name, obj, snapshot, _end_of)) is not None}
        self._ends.keep_only(secrets)
        ended = {name: end for name, end in ends.items() if end <= now}
        return snapshot.with_table(ENDED, ended), min((end for end in ends.values() if end > now), default=None)


def told(secret: str, end: datetime) -> str:
    """Envoy presents an ended certificate all the same, and clients refuse it: they do not say why."""
    return f"the certificate of secret {secret} was valid until {end.isoformat()}"


def _end_of(obj: Object, _: Reader) -> datetime | None:
    try:
        return certificates.valid_until(certificates.secret_of(obj))
    except WherryError:
        return None  # no listener uses it, and the dialect says why
