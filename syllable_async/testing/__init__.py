"""A server that behaves like the sessions part of the Syllable API, for your tests.

You want to test code that uses the API, without the API. `FakeSyllable` runs inside the test, on a real socket:

```python
import asyncio

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable, faults


async def main() -> None:
    async with FakeSyllable(sessions=100) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        session_id = server.add_session(summary="All is well.")  # data of your own
        server.faults.add("sessions.get_full_summary", faults.status(503, retry_after=0))  # what goes wrong, once
        found = await client.sessions.get_full_summary(session_id)
        assert found.summary == "All is well."
        server.faults.assert_all_met()  # the fault did happen
        assert len(server.requests.to("sessions.get_full_summary")) == 2  # and the client tried again


asyncio.run(main())
```

## With pytest

`syllable_async.testing.pytest_plugin` has the fixture `syllable_server`. The server runs in a thread of its own, so it
serves plain tests and any event loop. Make the client in the loop that uses it, for example in a fixture:

```python
import pytest_asyncio

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable

pytest_plugins = ["syllable_async.testing.pytest_plugin"]


@pytest_asyncio.fixture
async def client(syllable_server: FakeSyllable):
    async with AsyncSyllableClient(syllable_server.api_key, base_url=syllable_server.url) as client:
        yield client


async def test_a_session_is_found(client: AsyncSyllableClient, syllable_server: FakeSyllable) -> None:
    session_id = syllable_server.add_session(agent_name="Front desk")
    assert (await client.sessions.get_by_id(session_id)).agent_name == "Front desk"
```

With pytest-asyncio set `asyncio_mode = auto` and `asyncio_default_fixture_loop_scope = function`. A fixture with
`scope="module"` needs `loop_scope="module"`, too.

## Beside another program

`python -m syllable_async.testing --port 8765 --sessions 1000` runs the server by itself, for any client; the vendor's
works unchanged. `--plain` switches off everything that is not in the API's document.

## Rules

- The same `seed` gives the same sessions, recordings and tokens. Recordings are real WAV files.
- The server is as odd as the live API was seen to be: ids are numbers, the list leaves test sessions out, a SID in the
  place of an id gets 400, a path without its last slash gets 307. `FakeSyllable` has a switch for each.
- What nobody has seen and many fear is off until you ask for it: a list that is late (`listing="end"`), a replica that
  is behind (`replica_lag=5`), a list without totals (`totals="null"`), recordings on another host
  (`recording_urls="signed"`).
- `syllable_async.testing.faults` lists what can go wrong. A fault that could not be applied was not met, and
  `FaultQueue.assert_all_met` says why.
- The server shares no code with the client, so a wrong field name cannot be wrong on both sides.
- A wrong argument raises `TypeError` or `ValueError` where you write it.
"""

from . import faults
from ._request_log import LoggedRequest, RequestLog
from ._server import FakeSyllable
from .faults import Fault

__all__ = ["FakeSyllable", "Fault", "LoggedRequest", "RequestLog", "faults"]
