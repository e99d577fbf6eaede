"""Who runs the jobs: bare aiohttp (the floor), our client, the vendor's SDK.

Each does a call as its documentation would have it done, and nobody imports another's libraries: each runs in a process
of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

from tests.benchmarks.server import KEY, MIB


class Contestant(Protocol):
    """One way to call the API."""

    async def page(self, number: int, limit: int) -> Any: ...

    async def session(self, session_id: str) -> Any: ...

    def decode(self, body: bytes) -> Any: ...

    def walk(self, limit: int, pages: int, prefetch: int) -> AsyncIterator[Any]:
        """Sessions of so many pages."""
        ...

    async def iterate(self, size: int) -> int:
        """The length of a recording, chunk by chunk."""
        ...

    async def save(self, size: int, path: Path) -> int: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


def _models_alone() -> Any:
    """Our models without our client."""
    spec = find_spec("syllable_async")
    assert spec is not None
    assert spec.origin is not None
    alone = spec_from_file_location("models_alone", Path(spec.origin).with_name("models.py"))
    assert alone is not None
    assert alone.loader is not None
    module = sys.modules[alone.name] = module_from_spec(alone)
    alone.loader.exec_module(module)
    return module


class Bare:
    """aiohttp as it comes, and msgspec's decoder of the same classes. No retries, no limits, no errors of its own."""

    def __init__(self, url: str) -> None:
        import aiohttp
        import msgspec

        models = _models_alone()
        self._aiohttp = aiohttp
        self._url = f"{url}/api/v1/sessions/"
        self._page = msgspec.json.Decoder(models.ListResponseSession).decode
        self._session = msgspec.json.Decoder(models.Session).decode

    async def __aenter__(self) -> Self:
        self._http = self._aiohttp.ClientSession(headers={"Syllable-API-Key": KEY})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def page(self, number: int, limit: int) -> Any:
        async with self._http.get(self._url, params={"page": number, "limit": limit}) as response:
            return self._page(await response.read())

    async def session(self, session_id: str) -> Any:
        async with self._http.get(self._url + session_id) as response:
            return self._session(await response.read())

    def decode(self, body: bytes) -> Any:
        return self._page(body)

    async def walk(self, limit: int, pages: int, prefetch: int) -> AsyncIterator[Any]:
        """So many pages in flight, in order: what a script would do that knows how many there are."""
        numbers = iter(range(pages))
        flying = deque(asyncio.create_task(self.page(number, limit)) for number in islice(numbers, prefetch or 1))
        while flying:
            page = await flying.popleft()
            flying.extend(asyncio.create_task(self.page(number, limit)) for number in islice(numbers, 1))
            for session in page.items:
                yield session

    async def iterate(self, size: int) -> int:
        got = 0
        async with self._http.get(f"{self._url}recording/stream", params={"token": size}) as response:
            async for chunk in response.content.iter_any():
                got += len(chunk)
        return got

    async def save(self, size: int, path: Path) -> int:
        """By curl: what a shell script would do."""
        url = f"{self._url}recording/stream?token={size}"
        command = f"curl -sf -H 'Syllable-API-Key: {KEY}' -o {path} '{url}' && sync {path}"
        process = await asyncio.create_subprocess_shell(command)
        assert await process.wait() == 0
        return await asyncio.to_thread(lambda: path.stat().st_size)

    async def download(self, size: int, count: int, folder: Path) -> int:
        """By eight curls at a time, and a sync of all files."""
        (folder / "names").write_text("\n".join(map(str, range(count))))
        url = f"{self._url}recording/stream?token={size}"
        curl = f"curl -sf -H 'Syllable-API-Key: {KEY}' -o {folder}/{{}}.bin '{url}'"
        command = f"xargs -P 8 -I{{}} {curl} < {folder}/names && sync {folder}/*.bin"
        process = await asyncio.create_subprocess_shell(command)
        assert await process.wait() == 0
        return await asyncio.to_thread(lambda: sum(file.stat().st_size for file in folder.glob("*.bin")))


class Ours:
    """`syllable_async`, as it comes: retries, limits, deadline, quota on."""

    def __init__(self, url: str) -> None:
        from syllable_async import AsyncSyllableClient, ListResponseSession, decode

        self._decode = decode
        self._page = ListResponseSession
        self._client = AsyncSyllableClient(KEY, base_url=url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def page(self, number: int, limit: int) -> Any:
        return await self._client.sessions.list(page=number, limit=limit)

    async def session(self, session_id: str) -> Any:
        return await self._client.sessions.get_by_id(session_id)

    def decode(self, body: bytes) -> Any:
        return self._decode(body, self._page)

    async def walk(self, limit: int, pages: int, prefetch: int) -> AsyncIterator[Any]:
        async for session in self._client.sessions.list(limit=limit).items(limit * pages, prefetch):
            yield session

    async def iterate(self, size: int) -> int:
        got = 0
        async with self._client.sessions.stream_recording(str(size)) as recording:
            async for chunk in recording:
                got += len(chunk)
        return got

    async def save(self, size: int, path: Path) -> int:
        saved = await self._client.sessions.stream_recording(str(size)).save(path)
        assert saved.verified == "length"
        return saved.size

    async def download(self, size: int, count: int, folder: Path) -> int:
        sessions = (f"{size}-{number}" for number in range(count))
        outcomes = self._client.sessions.download_recordings(sessions, folder, parallel=8)
        return sum([saved.size async for outcome in outcomes for saved in outcome.recordings])


class Vendor:
    """`syllable_sdk`, its async methods."""

    def __init__(self, url: str) -> None:
        sdk: Any = import_module("syllable_sdk")
        self._unmarshal: Any = import_module("syllable_sdk.utils.serializers").unmarshal_json
        self._page = sdk.models.ListResponseSession
        self._sdk = sdk.SyllableSDK(server_url=url, api_key_header=KEY)

    async def __aenter__(self) -> Self:
        await self._sdk.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.__aexit__(None, None, None)

    async def page(self, number: int, limit: int) -> Any:
        return await self._sdk.sessions.list_async(page=number, limit=limit)

    async def session(self, session_id: str) -> Any:
        return await self._sdk.sessions.get_by_id_async(session_id=session_id)

    def decode(self, body: bytes) -> Any:
        return self._unmarshal(body.decode(), self._page)

    async def walk(self, limit: int, pages: int, prefetch: int) -> AsyncIterator[Any]:
        for number in range(pages):
            for session in (await self.page(number, limit)).items:
                yield session

    async def iterate(self, size: int) -> int:
        got = 0
        response = await self._sdk.sessions.session_recording_stream_async(token=str(size))
        async for chunk in response.aiter_bytes():
            got += len(chunk)
        return got

    async def save(self, size: int, path: Path) -> int:
        response = await self._sdk.sessions.session_recording_stream_async(token=str(size))
        with path.open("wb") as file:
            async for chunk in response.aiter_bytes(MIB):
                file.write(chunk)
        return await asyncio.to_thread(lambda: path.stat().st_size)


CONTESTANTS: dict[str, type[Bare | Ours | Vendor]] = {"floor": Bare, "ours": Ours, "vendor": Vendor}
