"""E-mail addresses, domain names with their URLs, and IP addresses.

Forms: the dot-atom of RFC 5322 without quoted local parts, host names of RFC 1123 with Latin letters of
other alphabets' names allowed, public suffixes from the Public Suffix List that publicsuffixlist ships
(nothing is fetched), addresses as the standard library's ipaddress reads them.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache

from publicsuffixlist import PublicSuffixList

from router_extproc.screening.context import near
from router_extproc.screening.spans import PiiSpan, Source

_LETTER = "A-Za-z0-9\u00df-\u00f6\u00f8-\u024f\u00c0-\u00d6\u00d8-\u00de"
_LOCAL = rf"{_LETTER}_%+.'\-"
_LABEL = rf"[{_LETTER}][{_LETTER}\-]{{0,62}}+"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{1,8}}+"

_EMAIL = re.compile(rf"(?<![{_LOCAL}])[{_LOCAL}]{{1,64}}+@({_HOST})(?!:[\w/~])")
_URL = re.compile(
    rf"(?<![{_LETTER}])(?:https?://|ftp://|www\.)([^\s<>\"`/?#|\\{{}}\[\]]{{1,300}}+)([/?#][^\s<>\"`|\\{{}}]{{0,2048}}+)?",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?<![{_LETTER}_@./:\-\\$])({_HOST})(/[^\s<>\"`|\\{{}}]{{0,2048}}+)?(?![\w@(=])")
_SITE = re.compile(
    r"\b(?:web ?sites?|domains?|url|homepage|home page|visit|hosted (?:at|on)|dns|host ?names?|browse)\b",
    re.I,
)

_INTERNAL = frozenset("corp example home internal intranet invalid lan local localdomain test".split())
"""Names that the list of public suffixes leaves out because they are never public; mail is sent there."""

_COMMON = frozenset(
    "ai au be biz br ca ch co com cz de dev dk edu ee es eu fi fr gov hu ie il info io jp kr mil mx net nl"
    " nz org ro ru se uk us za".split()
)
"""Last labels under which a name without www or a scheme is a domain name with nothing else said. Others
are names of files and ends of sentences too often: `main.rs`, `notes.md`, `done.it`."""

_PRODUCTS = frozenset("asp.net ado.net ml.net vb.net socket.io".split())
_MEMBERS = frozenset("app cls console df log logger logging np os self std sys system this".split())
"""What a dot follows in programs: `self.info` is no domain name."""

_NOBODY = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("255.0.0.0/8"),
)
_V4 = re.compile(r"(?=[0-9])(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}+(?:\.[0-9]{1,3}){0,3}(?![\w])")
_NUMBERED = re.compile(
    r"\b(?:v|ver|versions?|release|build|section|chapter|clause|firmware|image|(?:up|down)grad(?:e|ed|ing))\b",
    re.IGNORECASE,
)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def find_emails(text: str) -> Iterator[PiiSpan]:
    """Addresses whose domain is under a public suffix or a name kept for internal use."""
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        start = match.start() + len(match[0]) - len(match[0].lstrip(".'%+-"))
        end = _host_end(match[1], match.start(1), internal=True)
        if end and text[start] != "@":
            yield PiiSpan(start, end, "EMAIL_ADDRESS", 1.0, Source.PATTERN)


def find_domains(text: str) -> Iterator[PiiSpan]:
    """URLs as a whole, with scheme and path, and names without either. The host is under a public suffix and
    is no suffix itself."""
    if "." not in text:
        return
    for match in _URL.finditer(text):
        host = match[1].rpartition("@")[2].partition(":")[0].rstrip(".,;:!?')*_")
        end = match.end() if match[2] else match.end(1)
        if _registered(host):
            yield PiiSpan(
                match.start(), _sentence_end(text, match.start(), end), "DOMAIN_NAME", 1.0, Source.PATTERN
            )
    for match in _BARE.finditer(text):
        host_end = _host_end(match[1], match.start(1), internal=False)
        if not host_end or not _is_bare_domain(text, match.start(), host_end):
            continue
        end = match.end() if match[2] and host_end == match.end(1) else host_end
        yield PiiSpan(
            match.start(), _sentence_end(text, match.start(), end), "DOMAIN_NAME", 1.0, Source.PATTERN
        )


def find_addresses(text: str) -> Iterator[PiiSpan]:
    """IPv4 and IPv6 addresses, without those of no one host: loopback, unspecified, net masks."""
    for match in _V4.finditer(text):
        address = _address(match[0])
        if address is None or any(address in network for network in _NOBODY if address.version == 4):
            continue
        if not near(text, *match.span(), _NUMBERED, before=32):
            yield PiiSpan(*match.span(), "IP_ADDRESS", 1.0, Source.PATTERN)
    if text.count(":") < 2:
        return
    for match in _V6.finditer(text):
        written = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
        if written.count(":") >= 2 and _is_host(written):
            yield PiiSpan(match.start(), match.start() + len(written), "IP_ADDRESS", 1.0, Source.PATTERN)


def _registered(host: str) -> bool:
    """Whether `host` is a name under a public suffix."""
    return "." in host and _suffixes().privatesuffix(host.lower()) is not None


def _host_end(host: str, start: int, *, internal: bool) -> int:
    """The end of `host`, which starts at `start`, without last labels that are the next sentence; 0 if it is
    no domain. At most nine labels are tried."""
    host = host.rstrip("-")
    while "." in host:
        if _registered(host) or (internal and host.rpartition(".")[2].lower() in _INTERNAL):
            return start + len(host)
        host = host.rpartition(".")[0]
    return 0


def _is_bare_domain(text: str, start: int, end: int) -> bool:
    name = text[start:end].lower()
    if (
        name in _PRODUCTS
        or name.startswith("www.")
        or name.partition(".")[0] in _MEMBERS
        or not name[0].isalnum()
    ):
        return False
    if name.rpartition(".")[2] in _COMMON:
        return text[start:end].rpartition(".")[2] in (
            name.rpartition(".")[2],
            name.rpartition(".")[2].upper(),
        )
    return near(text, start, end, _SITE, before=32)


def _sentence_end(text: str, start: int, end: int) -> int:
    """`end` without the signs of the sentence around a URL: full stops, quotes, a bracket it did not open."""
    while end > start:
        if (
            text[end - 1] in ".,;:!?'\"*_$"
            or (text[end - 1] == ")" and text.count(")", start, end) > text.count("(", start, end))
            or (text[end - 1] == "]" and "[" not in text[start:end])
        ):
            end -= 1
        else:
            break
    return end


def _address(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(written)
    except ValueError:
        return None


def _is_host(written: str) -> bool:
    """Whether `written` is an IPv6 address of a host. Eight pairs of digits are a hardware identifier, and
    letters around `::` a name in a program."""
    address = _address(written)
    if address is None or address.is_loopback or address.is_unspecified:
        return False
    groups = [group for group in written.split(":") if group]
    return len(groups) > 1 and any(map(str.isdigit, written)) and not all(len(group) == 2 for group in groups)
