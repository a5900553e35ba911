"""Cron schedules as CronJob takes them: five fields, names, steps, ranges, and the `@daily` forms.

Out:   `schedule_wrong(text)`: "" or what is wrong. The controller computes times in its own module.
Spec:  robfig/cron v3 standard parser, the syntax of https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

import re

MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (  # lowest, highest, names that count from the lowest
    (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS),
)
_DURATION = re.compile(r"([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+")


def schedule_wrong(text: str) -> str:
    """What the parser would say about `text`, "" when it is a schedule."""
    text = text.strip()
    if not text:
        return "empty spec string"
    if text.startswith("@"):
        if text in MACROS or (text.startswith("@every ") and _DURATION.fullmatch(text[7:].strip())):
            return ""
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, (low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if wrong := _part_wrong(part, low, high, words):
                return wrong
    return ""


def _part_wrong(part: str, low: int, high: int, words: tuple[str, ...]) -> str:
    body, slash, step = part.partition("/")
    if "/" in step:
        return f"too many slashes: {part}"
    first, dash, last = body.partition("-")
    if "-" in last:
        return f"too many hyphens: {part}"
    if first in ("*", "?"):
        start, end = low, high
    else:
        numbers = [_number(first, low, words), _number(last, low, words) if dash else None]
        if numbers[0] is None or (dash and numbers[1] is None):
            return f"failed to parse int from {first if numbers[0] is None else last}: invalid syntax"
        start = numbers[0]
        end = numbers[1] if numbers[1] is not None else (high if slash else start)
    if slash and (not step.isdecimal() or not step.isascii()):
        return f"failed to parse int from {step}: invalid syntax"
    if slash and int(step) == 0:
        return f"step of range should be a positive number: {part}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {part}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {part}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {part}"
    return ""


def _number(text: str, low: int, words: tuple[str, ...]) -> int | None:
    if text.lower() in words:
        return words.index(text.lower()) + low
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
