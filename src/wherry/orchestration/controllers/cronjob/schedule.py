"""Cron schedules: text in, next moments out: pure.

Spec:  the standard five fields and `@` descriptors as Kubernetes takes them (robfig/cron v3 ParseStandard): names of
       months and days, `?` as `*`, lists, ranges, steps; day-of-month and day-of-week are alternatives when neither is
       `*`; a moment that daylight saving skips does not happen, one that it repeats happens once; `@every 1h30m`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from wherry.kit.errors import Invalid

YEARS_AHEAD_MAX = 5
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_PREFIX = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)


class UnknownTimeZone(Invalid):
    """No such zone in the time zone database."""


class Schedule(Protocol):
    """When things happen."""

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, in UTC; None when there is none within five years."""


@dataclass(frozen=True, slots=True)
class Every:
    """A constant distance, in whole seconds."""

    seconds: int

    def after(self, moment: datetime) -> datetime | None:
        return moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Fields:
    """The five fields in one time zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    either_day: bool  # neither day field is `*`: one match is enough
    zone: tzinfo

    def after(self, moment: datetime) -> datetime | None:
        start = moment.astimezone(self.zone)
        day, last = start.date(), start.year + YEARS_AHEAD_MAX
        while day.year <= last:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self._on(day):
                for found in self._moments(day):
                    if found > moment:
                        return found
            day += timedelta(days=1)
        return None

    def _on(self, day: date) -> bool:
        by_day, by_weekday = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def _moments(self, day: date) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                local = datetime.combine(day, time(hour, minute), self.zone)
                found = local.astimezone(UTC)
                if found.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield found


def parse(text: str, zone: str | None = None) -> Schedule:
    """Raise `Invalid` for what is no schedule, `UnknownTimeZone` for a zone that does not exist."""
    found = _PREFIX.fullmatch(text)
    if found:
        zone, text = found[1], found[2]
    where = zone_of(zone)
    text = text.strip()
    if text.startswith("@every "):
        return Every(_duration_s(text.removeprefix("@every ").strip()))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise Invalid(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != 5:
        raise Invalid(f"expected exactly 5 fields, found {len(parts)}: {parts}")
    minutes, hours, days, months, weekdays = parts
    return Fields(
        tuple(sorted(_field(minutes, 0, 59))),
        tuple(sorted(_field(hours, 0, 23))),
        _field(days, 1, 31),
        _field(months, 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
        _field(weekdays, 0, 6, {name: number for number, name in enumerate(_DAYS)}),
        not (_is_star(days) or _is_star(weekdays)),
        where,
    )


def zone_of(name: str | None) -> tzinfo:
    """The zone, UTC for None."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UnknownTimeZone(f"unknown time zone {name}") from error


def _is_star(text: str) -> bool:
    """`*`, `?`, or a list with one of them; a step above 1 restricts, so `*/2` is no star."""
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range(part, low, high, names or {}))
    return frozenset(values)


def _range(part: str, low: int, high: int, names: dict[str, int]) -> range:
    span, slash, step_text = part.partition("/")
    step = _number(step_text, {}) if slash else 1
    if span in ("*", "?"):
        first, last = low, high
    else:
        first_text, dash, last_text = span.partition("-")
        first = _number(first_text, names)
        last = _number(last_text, names) if dash else (high if slash else first)
    if first < low:
        raise Invalid(f"beginning of range ({first}) below minimum ({low}): {part}")
    if last > high:
        raise Invalid(f"end of range ({last}) above maximum ({high}): {part}")
    if first > last:
        raise Invalid(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    if step == 0:
        raise Invalid(f"step of range should be a positive number: {part}")
    return range(first, last + 1, step)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdecimal()):
        raise Invalid(f"failed to parse int from {text}")
    return int(text)


def _duration_s(text: str) -> int:
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Invalid(f"failed to parse duration @every {text}")
    return max(1, int(sum(float(number) * _UNITS_S[unit] for number, unit in parts)))
