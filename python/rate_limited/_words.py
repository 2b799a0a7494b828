"""Numbers in the words of people: counts, amounts that were counted, and times."""

from __future__ import annotations

import math


def counted(number: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "call"), counted(1_200, "call")
    ('1 call', '1,200 calls')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rounded(amount: float) -> str:
    """An amount that was counted or found out: whole from 100 on, below that with three digits at most.

    >>> rounded(3_374.999968), rounded(26), rounded(4.784282), rounded(0.00045)
    ('3,375', '26', '4.78', '0.00045')
    """
    return f"{amount:,.0f}" if amount == round(amount) or abs(amount) >= 99.95 else f"{amount:,.3g}"


def window_text(seconds: float) -> str:
    """The window of a limit, as it stands behind the quota.

    >>> window_text(60), window_text(1.5), window_text(3_600), window_text(86_400), window_text(7 * 86_400)
    ('60 s', '1.5 s', 'hour', 'day', '7 days')
    """
    for unit, noun in ((86_400, "day"), (3_600, "hour")):
        if seconds == unit:
            return noun
        if seconds > unit and seconds % unit == 0 and math.isfinite(seconds):
            return f"{seconds // unit:,.0f} {noun}s"
    return f"{seconds:,.15g} s"


def duration_text(seconds: float) -> str:
    """A duration with two units at most, in the words of a plan's text.

    >>> [duration_text(each) for each in (0, 0.42, 4.25, 59.97, 200, 5_400, 520_471)]
    ['0 s', '420 ms', '4.3 s', '1 m', '3 m 20 s', '1 h 30 m', '6 d 1 h']
    """
    if seconds < 0.9995:
        millis = math.floor(1_000 * seconds + 0.5)
        return f"{millis} ms" if millis else "0 s"
    if seconds < 9.95:
        return f"{math.floor(10 * seconds + 0.5) / 10:g} s"
    whole = math.floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return _two(whole, 60, "m", "s")
    minutes, hours = math.floor(seconds / 60 + 0.5), math.floor(seconds / 3_600 + 0.5)
    return _two(minutes, 60, "h", "m") if minutes < 24 * 60 else _two(hours, 24, "d", "h")


def _two(value: int, base: int, high: str, low: str) -> str:
    rest = value % base
    return f"{value // base} {high}" + (f" {rest} {low}" if rest else "")
