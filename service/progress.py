"""How far long work is, told on standard error: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Self

from tqdm import tqdm

# Between two lines where there is no terminal, in seconds.
SELDOM = 30.0
_BAR = "{desc} {percentage:3.0f} %|{bar}| {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"
_LINE = "{desc} {percentage:.0f} %: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"
_UNKNOWN = "{desc}: {n_fmt}, {rate_fmt}, for {elapsed}{postfix}"


class Progress:
    """One piece of work, from its start to its end."""

    def __init__(self, what: str, total: int, *, unit: str = "B") -> None:
        """total: how much there is to do, in `unit`s; 0 where that is not known."""
        self._what, self._total, self._unit = what, total, unit
        self._started = self._told = time.monotonic()
        self._done = self._told_of = 0
        self._bar = self._draw() if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def reach(self, done: int, note: str = "") -> None:
        """Tell how much is done, counted from the beginning, and a few words more."""
        self._done = done
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if now - self._told >= SELDOM:
            # At the pace of late: what was there already went by at another.
            rate = (done - self._told_of) / (now - self._told)
            self.say(self._line(now - self._started, rate, note))
            self._told, self._told_of = now, done

    def reach_of(self, done: int, total: int) -> None:
        """Tell how much is done, of how much in all, which was not known before."""
        self._total = total
        if self._bar is not None:
            self._bar.total = total
        self.reach(done)

    def say(self, line: str) -> None:
        """Write a line of its own."""
        tqdm.write(line, file=sys.stderr)

    def _draw(self) -> "tqdm[None]":
        return tqdm(
            desc=self._what,
            total=self._total or None,
            unit=self._unit,
            unit_scale=True,
            file=sys.stderr,
            dynamic_ncols=True,
            # Work comes in batches, of which each is told.
            miniters=1,
            bar_format=_BAR if self._total else _UNKNOWN,
        )

    def _line(self, seconds: float, rate: float, note: str) -> str:
        return str(
            tqdm.format_meter(
                self._done,
                self._total or None,
                seconds,
                prefix=self._what,
                unit=self._unit,
                unit_scale=True,
                rate=rate or None,
                postfix=note or None,
                bar_format=_LINE if self._total else _UNKNOWN,
            )
        )
