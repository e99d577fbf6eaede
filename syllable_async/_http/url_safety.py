"""What may be sent where: keys, base URLs, headers, and the URLs of recordings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

from yarl import URL

from ..errors import UntrustedRecordingURLError

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t -~]*", re.ASCII)
_RESERVED_HEADERS = frozenset(
    {"syllable-api-key", "host", "content-length", "transfer-encoding", "connection", "cookie"}
)
_PORTS = {"https": 443, "http": 80}


def check_recording_token(token: object) -> None:
    """A recording's token: some text without control characters; errors never show it."""
    if not isinstance(token, str):
        raise TypeError(f"token must be a str, not {type(token).__name__}")
    if not token or not token.isprintable():
        raise ValueError("token must not be empty or hold control characters")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Additional headers, unable to replace the key or to break the request's form."""
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers must map str to str")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError("a header has characters that HTTP does not allow (RFC 9110 §5)")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"the header {name} is set by the client itself")
    return dict(headers)


def check_base_url(base_url: str, *, allow_insecure_http: bool, name: str = "base_url") -> str:
    """The API's address without a slash at the end; plain http only on this machine, unless allowed."""
    if not isinstance(base_url, str):
        raise TypeError(f"{name} must be a str, not {type(base_url).__name__}")
    url = _parse(base_url)
    if url is None or url.scheme not in _PORTS or not url.host:
        raise ValueError(f"{name} must be an absolute https:// URL")
    if not _is_encodable(url.raw_host or ""):
        raise ValueError(f"{name}'s host is no host name")
    if url.user is not None or url.password is not None:
        raise ValueError(f"{name} must not hold a user name or a password")
    if url.raw_query_string or url.raw_fragment or "?" in base_url or "#" in base_url:
        raise ValueError(f"{name} must not have a query or a fragment")
    if url.scheme == "http" and not allow_insecure_http and not _is_loopback(url.host):
        raise ValueError(f"{name} is http: the key would travel unencrypted (allow_insecure_http=True permits it)")
    return str(url).rstrip("/")


def _parse(text: str) -> URL | None:
    if any(char <= " " or char in "\\\x7f" for char in text):
        return None
    try:
        url = URL(text)
        _ = url.port, url.host
    except ValueError:
        return None
    return url


def _is_encodable(host: str) -> bool:
    """Whether a name can be asked for: labels of at most 63 characters (RFC 1035 §2.3.4, RFC 3490)."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same_origin(one: URL, other: URL) -> bool:
    """RFC 6454: same scheme, host and port."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def token_of_api_url(text: str, stream: str) -> str | None:
    """The token in a recording's URL that lies on the origin of `stream`, our own endpoint; None: a foreign origin.

    Raises:
        UntrustedRecordingURLError: it lies on our origin and is not the endpoint's, or has no token.
    """
    url, own = _parse(text), URL(stream)
    if url is None or not url.absolute or url.user is not None or not same_origin(url, own):
        return None
    token = url.query.get("token")
    if not token or url.path != own.path:
        raise UntrustedRecordingURLError("the recording's URL on the API's own host is not the stream's")
    return token


def check_recording_url(text: str, allow_hosts: Collection[str]) -> URL:
    """The URL of a recording on a foreign origin.

    https, without userinfo, and a name rather than a literal address; or its `host` or `host:port` is listed.

    Raises:
        UntrustedRecordingURLError: with the reason, without the URL.
    """
    url = _parse(text)
    if url is None or url.scheme not in _PORTS or not url.host:
        raise UntrustedRecordingURLError("the recording's URL is not an absolute http(s) URL")
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        raise UntrustedRecordingURLError("the recording's URL carries a user name")
    if {url.host, f"{url.host}:{url.port}"} & {host.lower() for host in allow_hosts}:
        return url
    if url.scheme != "https":
        raise UntrustedRecordingURLError("the recording's URL is not https")
    if _is_ip_literal(url.host) or not _HOST_NAME.fullmatch(url.raw_host or ""):
        raise UntrustedRecordingURLError("the recording's URL names a literal address")
    return url


def _is_ip_literal(host: str) -> bool:
    """An address in any notation that some resolver understands: `::1`, `127.1`, `0x7f000001`, `2130706433`."""
    name = host.rstrip(".").lower()
    last = name.rsplit(".", 1)[-1]
    return (
        ":" in name
        or name == "localhost"
        or name.endswith(".localhost")
        or bool(re.fullmatch(r"\d+|0x[0-9a-f]*", last))
    )
