"""Which addresses may be contacted, and which never see the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from syllable_async import AsyncSyllableClient, NotFoundError, UntrustedRecordingURLError
from syllable_async._http.url_safety import check_recording_url, exact_url, query_of_api_recording, redirect_target
from syllable_async.testing import FakeSyllable, faults

Client = AsyncSyllableClient


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost", "http://[::1]:8", "https://x.example/base/"])
def test_valid_base_urls(url: str) -> None:
    assert "key-in-repr" not in repr(Client("key-in-repr", base_url=url))
    assert Client("k", base_url="http://intranet.example", allow_insecure_http=True)


@pytest.mark.parametrize(
    "url",
    ["http://files.example/a", "https://10.0.0.1/a", "https://u@files.example/a", "ftp://files.example/a", "non sense"],
)
async def test_untrusted_recording_urls_raise(client: Client, server: FakeSyllable, url: str) -> None:
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError) as caught:
        await client.sessions.recordings(server.listed[0])
    assert url not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?token=", "?other=1"])
async def test_our_own_recording_urls_need_a_token(client: Client, server: FakeSyllable, query: str) -> None:
    url = f"{server.url}/api/v1/sessions/recording/stream{query}"
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError):
        await client.sessions.recordings(server.listed[0])


async def test_a_foreign_host_must_be_allowed_and_never_sees_the_key(
    client: Client, server: FakeSyllable, tmp_path: Path
) -> None:
    async with FakeSyllable(api_key=None, sessions=1) as foreign:
        url = f"{foreign.url}/anything"
        edit = faults.edit_json(lambda body: {**body, "recordings": [url]}, times=3)
        server.faults.add("sessions.generate_recording_urls", edit)
        with pytest.raises(UntrustedRecordingURLError, match="not https"):
            await client.sessions.recordings(server.listed[0])
        (recording,) = await client.sessions.recordings(server.listed[0], allow_hosts=["127.0.0.1"])
        with pytest.raises(NotFoundError):  # once more with a fresh URL, in case the first had expired
            await recording.save(tmp_path / "recording.wav")
        assert all("Syllable-API-Key" not in request.headers for request in foreign.requests)
        assert len(foreign.requests) == 2


def test_a_base_url_needs_a_host_that_can_be_a_name() -> None:
    with pytest.raises(ValueError, match="base_url has a host that is not a valid host name"):
        Client("k", base_url=f"https://{'a' * 64}.example")


def test_base_url_and_token_must_be_strings() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="base_url must be a str, not int"):
        AsyncSyllableClient("key", base_url=wrong)
    with pytest.raises(TypeError, match="token must be a str, not int"):
        AsyncSyllableClient("key").sessions.stream_recording(wrong)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "x.localhost"])
def test_an_ip_literal_must_be_allowed(host: str) -> None:
    url = f"https://{host}/a.wav"
    with pytest.raises(UntrustedRecordingURLError, match="literal address"):
        check_recording_url(url, ())
    assert str(check_recording_url(url, {host.strip("[]")})) == url


EXACT = [
    "https://h.example/b/a%2Fb%7Ec%28d%29.wav?sig=a%2Fb%2Bc%3D%3D&x=1",
    "https://h.example/b/../r.wav?Policy=ey~J_-&Signature=a~b-c_%7E",
    "https://h.example:8443/r.wav?sig=a%3ab&q=%e2%82%ac&t=%27%22",
    "https://h.example//r.wav?a=b+c&d=e%20f&empty&x=",
    "https://h.example/a'b(c)!*;:@$,[]{}|^`<>r.wav?a'b(c)!*;:@$,[]{}|^`<>",
]


@pytest.mark.parametrize("text", EXACT)
def test_a_foreign_url_goes_out_as_it_was_written(text: str) -> None:
    sent = check_recording_url(text, ())
    assert text.endswith(sent.raw_path_qs)
    here = URL("https://h.example/old/name?old=1")
    path = text.removeprefix("https://h.example")
    for location in (text, text.removeprefix("https:"), path) if path.startswith("/") else (text,):
        if location.startswith("//") and not location.startswith("//h.example"):
            continue  # a path that begins with two slashes needs its host before it
        assert text.endswith(check_recording_url(redirect_target(here, location), ()).raw_path_qs)


def test_a_naive_url_is_another_text() -> None:
    assert sum(str(URL(text)) != text for text in EXACT) >= 3


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://h.example/a b.wav?c d", "https://h.example/a%20b.wav?c%20d"),
        ("https://h.example/\u00e9%C3%A9?\u20ac=%e2", "https://h.example/%C3%A9%C3%A9?%E2%82%AC=%e2"),
        ("https://b\u00fccher.example/\u00e9", "https://xn--bcher-kva.example/%C3%A9"),
        ("https://h.example/\udcff", "https://h.example/%FF"),  # a Location's byte that is no UTF-8
    ],
)
def test_blanks_and_other_scripts_are_percent_encoded(text: str, sent: str) -> None:
    assert str(check_recording_url(text, ())) == sent


@pytest.mark.parametrize(
    "text", ["https://h.example/a\x00", "https://h\\x/a", "https://h x/a", "https://h.example/\ud800", "https://[::1/a"]
)
def test_what_cannot_be_a_url(text: str) -> None:
    assert exact_url(text) is None


STREAM = "/api/v1/sessions/recording/stream"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("eyJh.eyJz_-.c2ln", (("token", "eyJh.eyJz_-.c2ln"),)),
        *(
            (token, (("token", token),))
            for token in ("a+/b==", "/9j/4AAQSk==", "824:abc:sig", "a@b", "a%2Bb", "{a|b}", "a,b;c", "\u00e9", "a#b")
        ),
        (f"{STREAM}?token=a%2Bb", (("token", "a+b"),)),
        (f"//api.example{STREAM}?token=a", (("token", "a"),)),
        (f"http://api.example{STREAM}?x=1&token=a", (("x", "1"), ("token", "a"))),
        (f"https://gateway.example/syllable{STREAM}?token=a", (("token", "a"),)),
        (f"https://gateway.example/syllable{STREAM}/?token=a", (("token", "a"),)),
        (f"https://api.example{STREAM}/?token=a", (("token", "a"),)),
        *(
            (f"{relative}?token=a%2Bb", (("token", "a+b"),))
            for relative in ("", "stream", "./stream/", STREAM[1:], f"syllable{STREAM}", f"/syllable{STREAM}")
        ),
        ("", None),
        ("a b", None),
        ("a\n", None),
        ("\ud800", None),
        ("//a/b", None),
        ("https:/a/b", None),
        ("data:,a", None),
        ("/?token=a", None),
        ("/stream?token=a", None),
        ("other?token=a", None),
        ("?token=", None),
        ("https://cdn.example/stream?token=a", None),
        (f"https://cdn.example/{STREAM}?token=a", None),
        (f"https://cdn.example{STREAM}?sig=a", None),
        (f"https://cdn.example{STREAM}/x?token=a", None),
        (f"ftp://api.example{STREAM}?token=a", None),
        ("/r.wav?token=a", None),
    ],
)
def test_whose_recording_it_is(text: str, query: tuple[tuple[str, str], ...] | None) -> None:
    assert query_of_api_recording(text, f"https://gateway.example/syllable{STREAM}", STREAM) == query
