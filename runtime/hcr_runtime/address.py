"""Addresses of cameras as they may be shown: without what may be a password."""

from __future__ import annotations

import re


def shown(address: str) -> str:
    """Return an address without its user, password and query; never raises.

    Where it is not clear what is a password, only the scheme is left.

    >>> shown("http://me:secret@camera.local:8080/video?pwd=1234")
    'http://camera.local:8080/video'
    >>> shown("rtsp://me:a/b@camera.local/1")
    'rtsp://...'
    """
    scheme, mark, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in tail:  # a password with a slash, or a name in the query
        return f"{scheme}{mark}..."
    # Some cameras want the password in the path: /user=me&password=1234
    return scheme + mark + authority.rpartition("@")[2] + re.split("[?#;&=]", tail)[0]
