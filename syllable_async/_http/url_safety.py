"""What may be sent where: keys, base URLs, headers, and the URLs of recordings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import quote

from yarl import URL

from ..errors import UntrustedRecordingURLError

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t -~]*", re.ASCII)
_RESERVED_HEADERS = frozenset(
    {"syllable-api-key", "host", "content-length", "transfer-encoding", "connection", "cookie"}
)
_PORTS = {"https": 443, "http": 80}
_ONLY_IN_URLS = re.compile(r"^(//|(data|file|https?):)|://|[ ?]", re.IGNORECASE)
"""What tells a URL from a recording's token that stands for itself, whatever the token is made of."""
_AUTHORITY_AND_REST = re.compile(r"(?P<authority>(?:[^/?#]*//[^/?#]*)?)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"[^\s\\]*")
"""Where a backslash would be a slash for some and a letter of a user name for others."""
_NEVER_IN_URLS = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED_IN_URLS = re.compile(r"[^!-~]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)


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
        raise ValueError(f"{name} has a host that is not a valid host name")
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
    """Whether a name, in ASCII, can be asked for: labels of at most 63 characters (RFC 1035 §2.3.4)."""
    return all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))


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


def query_of_api_recording(text: str, stream: str, path: str) -> tuple[tuple[str, str], ...] | None:
    """The query to ask our own `stream` with where a recording is the API's; None: it lies on a foreign host.

    A bare token is the API's, and so is every URL whose path is the stream's and that has a `token`: under the API's
    public name while we speak to a gateway, by http where a proxy ends TLS, with a slash at its end, or relative to the
    stream, the host or the base URL. The host that such a URL names is never called.

    Args:
        text: what the API gave.
        stream: the address of our own endpoint.
        path: the endpoint's path without the base URL's.

    Raises:
        UntrustedRecordingURLError: it carries a user name, its query holds control characters, or it lies on our own
            origin and is not the stream's.
    """
    if text and text.isprintable() and not _ONLY_IN_URLS.search(text):
        return (("token", text),)
    url, own = exact_url(text), URL(stream)
    if url is None or url.scheme not in {"", *_PORTS}:
        return None
    paths = {url.path.rstrip("/"), f"/{url.path}".rstrip("/"), own.join(url).path.rstrip("/")}
    if paths.isdisjoint({path, own.path}) or not url.query.get("token"):
        if url.absolute and same_origin(url, own):
            raise UntrustedRecordingURLError("the recording's URL on the API's own host is not the stream's")
        return None
    _refuse_userinfo(url)
    query = tuple(url.query.items())
    if not "".join(map("".join, query)).isprintable():
        raise UntrustedRecordingURLError("the recording's URL holds control characters")
    return query


def check_recording_url(text: str, allow_hosts: Collection[str]) -> URL:
    """The URL of a recording on a foreign origin, its text unchanged.

    https, without userinfo, and a name rather than a literal address; or its `host` or `host:port` is listed.

    Raises:
        UntrustedRecordingURLError: with the reason, without the URL.
    """
    url = exact_url(text)
    if url is None or url.scheme not in _PORTS or not url.host:
        raise UntrustedRecordingURLError("the recording's URL is not an absolute http(s) URL")
    _refuse_userinfo(url)
    if {url.host, f"{url.host}:{url.port}"} & {host.lower() for host in allow_hosts}:
        return url
    if url.scheme != "https":
        raise UntrustedRecordingURLError("the recording's URL is not https")
    if _is_ip_literal(url.host) or not _HOST_NAME.fullmatch(url.raw_host or ""):
        raise UntrustedRecordingURLError("the recording's URL names a literal address")
    return url


def _refuse_userinfo(url: URL) -> None:
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        raise UntrustedRecordingURLError("the recording's URL carries a user name")


def exact_url(text: str) -> URL | None:
    """A URL that goes out as it was written: signatures cover its text. None where it cannot be one.

    Blanks and what is not ASCII are percent-encoded behind the authority (RFC 3986 §2.1), a host name in another
    script is written as IDNA has it, and nothing else is touched.
    """
    parts = _AUTHORITY_AND_REST.fullmatch(text)
    if parts is None or _NEVER_IN_URLS.search(text) or not _AUTHORITY.fullmatch(parts["authority"]):
        return None
    try:
        rest = _ESCAPED_IN_URLS.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), parts["rest"])
        normal = URL(parts["authority"] + rest)
        _ = normal.port, normal.host
        url = URL(parts["authority"] + rest, encoded=True)
        return url if parts["authority"].isascii() else url.with_host(normal.raw_host or "")
    except ValueError:
        return None


def redirect_target(url: URL, location: str) -> str:
    """The address that a `Location` names beside `url` (RFC 3986 §5.2), what it says itself unchanged."""
    if location.startswith("//"):
        return f"{url.scheme}:{location}"
    if location.startswith("/"):
        return f"{url.origin()}{location}"
    if _SCHEME.match(location):
        return location
    return str(url.join(URL(location, encoded=True)))


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
