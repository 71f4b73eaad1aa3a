"""Types that are decoded are prepared where they are declared, in the one thread that imports them.

msgspec prepares a type when it is first decoded. Where two threads are the first at the same time, the process dies by
SIGSEGV (seen with msgspec 0.22 on Python 3.11 and 3.13, at the start of an instance under load).
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decodable(kind: type[T]) -> type[T]:
    """A class decorator: threads may decode the type from now on."""
    msgspec.json.Decoder[Any](kind)
    return kind
