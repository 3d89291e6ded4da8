"""Figures of very many numbers in little memory. Pure; no I/O, no clock."""

import math
from collections import Counter

LEADING_BITS = 8  # of a number that are told apart, so that what is below is less than 1 % of it
MOST_DISTINCT = 2**18  # that are counted one by one, in some 20 MB; from there on the count is off by less than 1 %


class Spread:
    """The quantiles of whole numbers from 0, each rounded down by less than 1 %. Its memory does not grow with them.

    Attributes:
        count: how many there are.
        total: their sum.
        largest: of them; 0 where there are none.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self.total: int = 0
        self.largest: int = 0
        self._counts: Counter[int] = Counter()

    def add(self, number: int) -> None:
        self.count += 1
        self.total += number
        self.largest = max(self.largest, number)
        shift = number.bit_length() - LEADING_BITS
        self._counts[number >> shift << shift if shift > 0 else number] += 1

    def quantile(self, share: float) -> int:
        """Return a number that at least this share of them, from 0 to 1, does not exceed; 0 where there are none."""
        enough, seen = math.ceil(share * self.count), 0
        for number, count in sorted(self._counts.items()):
            seen += count
            if seen >= enough:
                return number
        return 0


class Distinct:
    """How many different values there were. Exact for the first 262,144; then those with rare hashes stand for all.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = MOST_DISTINCT) -> None:
        self._most = most
        self._kept: set[int] = set()
        self._level = 0  # so many of the last bits of a hash have to be 0, which they are in one of 2**level

    def add(self, value: bytes) -> None:
        hashed = hash(value)
        if hashed & ((1 << self._level) - 1):
            return
        self._kept.add(hashed)
        while len(self._kept) > self._most:
            self._level += 1
            self._kept = {each for each in self._kept if not each & ((1 << self._level) - 1)}

    @property
    def exact(self) -> bool:
        return self._level == 0

    @property
    def count(self) -> int:
        return len(self._kept) << self._level
