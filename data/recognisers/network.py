"""What points at a person on a network: e-mail, IP and hardware addresses, links that carry a password."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from data.recognisers.found import Found

LOCAL_PART_BACKWARDS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}")
TOP_LEVEL = r"(?:[Xx][Nn]--[A-Za-z0-9-]{0,58}[A-Za-z0-9]|[^\W\d_]{2,24})"
DOMAIN = re.compile(rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.){{1,8}}{TOP_LEVEL}")
"""Whatever stands behind it: "@example.com-", "@example.com_old" and "@example.com2024" hold one too."""

LITERAL_DOMAIN = re.compile(r"\[[0-9.]{7,15}\]")

CREDENTIALS = re.compile(r"://[^\s/?#@:\"'<>\0]{0,4096}:[^\s/?#@\"'<>\0]{1,4096}@[^\s\"'<>\0]{1,4096}")
SCHEME_BACKWARDS = re.compile(r"[A-Za-z0-9+.-]{1,16}")

IP_FOUR = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.(?=[0-9])")
COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
HEXADECIMAL = re.compile(r"[0-9A-Fa-f:.]{1,45}")
SHORTEST_IP_SIX = 6  # "1::2" is valid, and a slice in Python
DASHED_PAIRS = re.compile(r"-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-")
MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
VERSION_BEFORE = re.compile(
    r"(?:\bv|\bversion|\brelease|\brevision|\bbuild|\brev|§|\bsection|\bchapter|\bKapitel)\.? ?$",
    re.IGNORECASE,
)


def emails(text: str) -> Iterator[Found]:
    """Yield e-mail addresses, looking both ways from every at sign."""
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at + 1, at + 256) or LITERAL_DOMAIN.match(text, at + 1)
        local = LOCAL_PART_BACKWARDS.match(text[max(0, at - 64) : at][::-1]) if domain else None
        if local and domain:
            around = "._'/=-*`{|}" if text[domain.end() : domain.end() + 1] == "_" else ".'/=-*`{|}"
            start = at - len(local[0].rstrip(around))  # "_a@b.example_" is Markdown
            if start < at:
                yield Found("EMAIL", start, domain.end(), text[start : domain.end()].casefold())
        at = text.find("@", at + 1)


def links_with_credentials(text: str) -> Iterator[Found]:
    """Yield links of the form scheme://user:password@host, whole."""
    for match in CREDENTIALS.finditer(text):
        scheme = SCHEME_BACKWARDS.match(text[max(0, match.start() - 16) : match.start()][::-1])
        start, end = match.start() - (len(scheme[0]) if scheme else 0), match.end()
        end -= len(match[0]) - len(match[0].rstrip(".,;:!?)]}"))
        yield Found("URL", start, end, text[start:end])


def ip_four(text: str) -> Iterator[Found]:
    """Yield IPv4 addresses; four numbers after the word "version" are none."""
    for match in IP_FOUR.finditer(text):
        start, end = match.start(), match.end()
        first = re.search(r"[0-9]{1,3}$", text[max(0, start - 3) : start])
        last = re.match(r"[0-9]{1,3}", text[end : end + 3])
        if first is None or last is None:
            continue
        start, end = start - len(first[0]), end + len(last[0])
        before, after = text[start - 1 : start], text[end : end + 1]
        longer = (
            before.isalnum()
            or before in ("_", ".")
            or after.isalnum()
            or (after == "." and text[end + 1 : end + 2].isdigit())
        )
        if (
            not longer
            and _is_address(text[start:end])
            and not VERSION_BEFORE.search(text, max(0, start - 12), start)
        ):
            yield Found("IP", start, end, text[start:end])


def ip_six_and_mac(text: str) -> Iterator[Found]:
    """Yield IPv6 and colon-separated hardware addresses."""
    finished = 0
    for match in COLONS.finditer(text):
        if match.start() < finished:
            continue
        before = HEXADECIMAL.match(text[max(finished, match.start() - 40) : match.start()][::-1])
        run = HEXADECIMAL.match(text, match.start() - (len(before[0]) if before else 0))
        if run is None:
            continue
        finished = run.end()
        written = run[0].rstrip(".")
        written = written[:-1] if written.endswith(":") and not written.endswith("::") else written
        end = run.start() + len(written)
        if text[run.start() - 1 : run.start()].isalnum() or text[end : end + 1].isalnum():
            continue
        if MAC.fullmatch(written):
            yield Found("MAC", run.start(), end, written.replace(":", "").lower())
        elif len(written) >= SHORTEST_IP_SIX and re.search("[0-9]", written) and _is_address(written):
            yield Found("IP", run.start(), end, str(ipaddress.ip_address(written)))


def dashed_macs(text: str) -> Iterator[Found]:
    """Yield hardware addresses as Windows writes them."""
    for match in DASHED_PAIRS.finditer(text):
        mac = MAC.match(text, match.start() - 2) if match.start() >= 2 else None
        if (
            mac
            and mac[1] == "-"
            and not mac[0].replace("-", "").isdigit()
            and not _is_glued(text, mac.start(), mac.end())
        ):
            yield Found("MAC", mac.start(), mac.end(), mac[0].replace("-", "").lower())


def _is_glued(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return before.isalnum() or before == "-" or after.isalnum() or after == "-"


def _is_address(written: str) -> bool:
    try:
        ipaddress.ip_address(written)
    except ValueError:
        return False
    return True
