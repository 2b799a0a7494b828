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
