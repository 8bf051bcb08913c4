"""Which internet addresses name a person's machine or mailbox, and which are public, reserved, or something else."""

from __future__ import annotations

import ipaddress
import re

# Tables of our own rather than `ipaddress`'s properties: those have changed between releases of Python.
_DOCUMENTATION_4 = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")  # RFC 5737
_SPECIAL_4 = ("0.0.0.0/8", "127.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3")  # RFC 6890
# RFC 1918, RFC 3927 and RFC 6598:
_PRIVATE_4 = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
_DOCUMENTATION_6 = ("2001:db8::/32", "3fff::/20")  # RFC 3849, RFC 9637
_GLOBAL_6 = ("2000::/3",)
_SPECIAL_6 = ("2001::/23",)  # protocol assignments, RFC 6890
_PRIVATE_6 = ("fc00::/7", "fe80::/10")  # RFC 4193, RFC 4291

_OPEN_4 = tuple(ipaddress.IPv4Network(each) for each in _DOCUMENTATION_4 + _SPECIAL_4)
_CLOSED_4 = tuple(ipaddress.IPv4Network(each) for each in _PRIVATE_4)
_OPEN_6 = tuple(ipaddress.IPv6Network(each) for each in _DOCUMENTATION_6 + _SPECIAL_6)
_OUTSIDE_6 = tuple(ipaddress.IPv6Network(each) for each in _GLOBAL_6)
_CLOSED_6 = tuple(ipaddress.IPv6Network(each) for each in _PRIVATE_6)

_RESERVED_NAMES = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$")  # RFC 2606
_NO_DOMAIN = re.compile(
    r"avif|bmp|c|cc|cfg|conf|cpp|css|csv|cu|dll|exe|gif|gz|h|hpp|html|htm|ico|internal|jar|"
    r"java|jpeg|jpg|js|json|lan|local|localdomain|log|md|pdf|php|png|py|rb|rs|service|sh|"
    r"slice|so|socket|svg|swift|tar|timer|toml|ts|txt|webp|xml|yaml|yml"
)
"""What stands behind the last full stop of ``icon@2x.png`` or ``getty@tty1.service``: no mailbox."""
_NO_PERSONS = frozenset({"git", "hg", "svn"})
"""``git@host:path`` is an address of a repository."""


def ipv4(text: str, *, private: bool) -> bool:
    """Whether a dotted quad is the address of one machine on the internet, or in a private network if these count.

    Left alone: documentation and special ranges; networks and broadcast addresses (``.0``, ``.255``); and addresses of
    four one-digit numbers, which are versions or well-known resolvers.

    >>> [ipv4(each, private=False) for each in ("81.2.69.142", "192.0.2.7", "10.1.2.3", "1.2.3.4", "81.2.69.300")]
    [True, False, False, False, False]
    """
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    if len(text) == 7 or int(address) & 0xFF in {0, 0xFF} or any(address in network for network in _OPEN_4):
        return False
    return private or not any(address in network for network in _CLOSED_4)


def ipv6(text: str, *, private: bool) -> bool:
    """Whether this is a global unicast address outside the documentation ranges, or a private one if these count.

    >>> [ipv6(each, private=False) for each in ("2a02:898:52:ffff::1", "2001:db8::1", "fd00::1:2", "12:34:56")]
    [True, False, False, False]
    """
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if any(address in network for network in _OPEN_6):
        return False
    return any(address in network for network in _OUTSIDE_6 + _CLOSED_6 * private)


def mailbox(text: str) -> bool:
    """Whether an address that looks like a mailbox's is one, and not under a name reserved for examples.

    >>> [mailbox(each) for each in ("ada@analytical.org", "me@mail.example.com", "logo@2x.png", "git@github.com")]
    [True, False, False, False]
    """
    local, _, domain = text.lower().rpartition("@")
    if local in _NO_PERSONS or _NO_DOMAIN.fullmatch(domain.rpartition(".")[2]) or ".." in text:
        return False
    return not _RESERVED_NAMES.search(domain)
