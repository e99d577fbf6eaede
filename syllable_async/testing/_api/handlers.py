"""The API itself: a call in, an answer out. No socket and no clocks but those it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from .._data import (
    MICROSECONDS,
    VOICE,
    Conversation,
    ListQuery,
    ReplicatedStore,
    Row,
    Store,
    conversations,
    instant_of,
    wav,
)
from .._json import encode_text, to_bytes
from .debug_handlers import DebugHandlers
from .label_handlers import LabelHandlers
from .query_params import BadQueryError, UnprocessableError, read_list_query, read_token
from .range_requests import ranged
from .recordings import Tokens, arrange, recording_url, redeem_target, storage_refusal, storage_target
from .response import JSON, Answer, error, json_answer
from .routes import Call
from .settings import Settings, limits

READS_UNTIL_COMPLETE = 3
_SID = re.compile(r"CA[0-9A-Za-z]+")
_WHILE_RUNNING: Row = {"duration": None, "user_terminated": None, "transfer_voicemail_detected": None}
_TIMES = ("timestamp", "override_timestamp")


class API:
    """Answers calls from a store of sessions."""

    def __init__(
        self, sessions: ReplicatedStore, settings: Settings, tokens: Tokens, seed: int, now: Callable[[], datetime]
    ) -> None:
        self._sessions = sessions
        self._store = sessions.primary
        self._settings = settings
        self._seed = seed
        self._now = now
        self._limits = limits(settings.max_limit)
        self._pages_served = 0
        self._reads: dict[int, int] = {}
        self._mints: dict[int, int] = {}
        self._grain = MICROSECONDS[settings.timestamp_resolution]
        self.tokens = tokens
        self.storage_origin = ""
        self._operations: dict[str, Callable[[Call], Answer]] = {
            "sessions.list": self._list,
            "sessions.get_by_id": lambda call: self._of_session(call, self._shown),
            "sessions.get_full_summary": lambda call: self._of_session(call, self._summary),
            "sessions.get_transcript": lambda call: self._of_session(call, self._transcript),
            "sessions.get_latency": lambda call: self._of_session(call, self._latency),
            "sessions.get_timeline": lambda call: self._of_session(call, self._timeline),
            "sessions.generate_recording_urls": self._mint,
            "sessions.stream_recording": self._stream,
            "storage.download": self._download,
            **LabelHandlers(sessions, settings, seed, now, self._page).operations,
            **DebugHandlers(
                self._store, seed, find=self._find, row=self._row, conversation=self._conversation
            ).operations,
        }

    def answer(self, call: Call) -> Answer:
        """The answer to a call that has an operation and came with the right key."""
        try:
            return self._operations[str(call.operation)](call)
        except UnprocessableError as refusal:
            return json_answer({"detail": refusal.detail}, 422)
        except BadQueryError as refusal:
            return error(400, str(refusal))

    # Time

    def _instant(self) -> int:
        return instant_of(self._now())

    def _row(self, index: int) -> Row:
        """The session as it is now: a call that runs has no duration yet."""
        row = self._store.row(index)
        if not self._store.keeps_time or self._instant() >= self._store.end(index):
            return row
        return {**row, **_WHILE_RUNNING}

    def _shown(self, index: int) -> Row:
        """The session as the API shows it."""
        return self._coarse(self._row(index))

    def _coarse(self, row: Row) -> Row:
        if self._grain == 1:
            return row
        return {**row, **{name: _cut(row[name], self._grain) for name in _TIMES if row[name]}}

    # The list

    def _list(self, call: Call) -> Answer:
        query = self._clamped(read_list_query(call.params, self._settings))
        for change in call.adjust:
            query = change(query)
        store = self._sessions.for_list()
        with store.lock:
            indices, count = store.page(replace(query, listed_by=self._instant()) if store.lists_late else query)
            items = [self._item(store, index, query) for index in indices]
        body = f'{{"items":[{",".join(items)}],{encode_text(self._page(query, count))[1:]}'
        return Answer(200, {"Content-Type": JSON}, to_bytes(body))

    def _clamped(self, query: ListQuery) -> ListQuery:
        if not self._limits:
            return query
        most = self._limits[self._pages_served % len(self._limits)]
        self._pages_served += 1
        echo = query.limit if self._settings.page_size == "asked" else None
        return replace(query, limit=min(query.limit, most), echo_limit=echo)

    def _page(self, query: ListQuery, count: int) -> dict[str, int | None]:
        """What stands beside the items."""
        limit = query.limit if query.echo_limit is None else query.echo_limit
        total = count if isinstance(self._settings.totals, str) else min(count, self._settings.totals)
        known = self._settings.totals != "null"
        return {
            "page": query.page if query.echo_page is None else query.echo_page,
            "page_size": limit,
            "total_pages": (-(-total // limit) if limit else 0) if known else None,
            "total_count": total if known else None,
        }

    def _item(self, store: Store, index: int, query: ListQuery) -> str:
        plain = self._grain == 1 and not store.keeps_time
        if plain and not query.fields:
            return store.text(index)
        row = store.row(index)
        if store.keeps_time and self._instant() < store.end(index):
            row = {**row, **_WHILE_RUNNING}
        names = {"timestamp": None, **dict.fromkeys(query.fields)} if query.fields else row
        row = self._coarse(row)
        return encode_text({name: row[name] for name in names})

    def listed(self) -> tuple[str, ...]:
        """The ids that the list shows without a filter, oldest first."""
        store = self._sessions.for_list()
        with store.lock:
            everything = ListQuery(limit=len(store), tests=not self._settings.hide_tests, listed_by=self._instant())
            ids = (store.row(index)["session_id"] for index in store.page(everything)[0])
            return tuple(session_id for session_id in ids if session_id is not None)

    # One session

    def _of_session(self, call: Call, show: Callable[[int], Any]) -> Answer:
        with self._store.lock:
            index = self._find(call.session_id)
            if index is not None:
                return json_answer(show(index))
        if self._settings.refuse_sids and _SID.fullmatch(call.session_id):
            return error(400, "Invalid session_id")
        return error(404, "Session not found")

    def _find(self, session_id: str) -> int | None:
        """A session that has begun."""
        index = self._store.find(session_id)
        begun = index is not None and (not self._store.keeps_time or self._store.instant(index) <= self._instant())
        return index if begun else None

    def _key(self, index: int, purpose: str) -> str:
        return f"{self._seed}/{purpose}/{index}"

    def _summary(self, index: int) -> Any:
        made_up = conversations.summary(self._row(index), self._key(index, "summary"))
        return {name: self._store.extras(index).get(name, value) for name, value in made_up.items()}

    def _conversation(self, index: int) -> Conversation:
        """What a seed describes; a transcript and latencies that were given take its place."""
        story = conversations.conversation(self._row(index), self._key(index, "conversation"))
        extras = self._store.extras(index)
        if "transcript" in extras:
            story.turns = extras["transcript"].get("transcription", [])
            story.actions = extras["transcript"].get("actions", [])
        if "latency" in extras:
            story.latencies = extras["latency"].get("timeline", [])
        return story

    def _transcript(self, index: int) -> Any:
        row = self._row(index)
        extras = self._store.extras(index)
        reads = self._reads[index] = self._reads.get(index, 0) + 1
        given = extras.get("transcript", {})
        needed = extras.get("complete_after", 1 if given else self._usual_reads(index))
        counted = row["channel_manager_type"] in VOICE and row["duration"] is not None and not row["is_legacy"]
        share = min(1.0, reads / needed)
        complete = given.get("transcript_complete", counted and reads >= needed)
        document = conversations.transcript(self._conversation(index), share, complete=complete)
        return {**document, "session_id": given.get("session_id", document["session_id"])}

    def _usual_reads(self, index: int) -> int:
        """One session in eight is read before its transcript has arrived."""
        late = blake2b(self._key(index, "pipeline").encode(), digest_size=1).digest()[0] < 32
        return READS_UNTIL_COMPLETE if late else 1

    def _latency(self, index: int) -> Any:
        return {**conversations.latency(self._conversation(index)), **self._store.extras(index).get("latency", {})}

    def _timeline(self, index: int) -> Any:
        return {**conversations.timeline(self._conversation(index)), **self._store.extras(index).get("timeline", {})}

    # Recordings

    def recordings(self, index: int) -> list[bytes]:
        """The WAV files of a session: one per leg of the call, none where there was no call."""
        row = self._row(index)
        given: list[bytes] | None = self._store.extras(index).get("recordings")
        if given is not None:
            return given
        if row["channel_manager_type"] not in VOICE or row["duration"] is None:
            return []
        legs = 1 if row["transfer_voicemail_detected"] is None else 2
        return [wav(self._key(index, f"leg{leg}"), float(row["duration"])) for leg in range(legs)]

    def _mint(self, call: Call) -> Answer:
        return self._of_session(call, lambda index: self._recording_urls(index, call))

    def _recording_urls(self, index: int, call: Call) -> Any:
        asked = self._mints[index] = self._mints.get(index, 0) + 1
        numbers = arrange(list(range(len(self.recordings(index)))), self._settings.recording_list, asked)
        urls = [self._recording_url(call, number) for number in numbers]
        return {"session_id": call.session_id, "recordings": urls}

    def _recording_url(self, call: Call, number: int) -> str:
        token = self.tokens.mint(call.session_id, number)
        if self._settings.recording_urls == "signed":
            return f"{self.storage_origin}{storage_target(token, call.session_id, number)}"
        return recording_url(self._settings.recording_urls, token, call.origin, self._settings.public_url)

    def _stream(self, call: Call) -> Answer:
        granted = self.tokens.redeem(read_token(call.params))
        if granted is None:
            return error(self.tokens.refusal, "Invalid or expired token")
        return self._recording(call, granted, "application/octet-stream")

    def _download(self, call: Call) -> Answer:
        """A recording on the storage host: no key opens it, only the signature of just this URL."""
        granted = redeem_target(self.tokens, call.target)
        return storage_refusal(self.tokens.refusal) if granted is None else self._recording(call, granted, "audio/wav")

    def _recording(self, call: Call, granted: tuple[str, int], content_type: str) -> Answer:
        session_id, number = granted
        with self._store.lock:
            index = self._store.find(session_id)
            recordings = [] if index is None else self.recordings(index)
        if number >= len(recordings):
            return error(404, "Recording not found")
        return ranged(recordings[number], content_type, call.range, call.if_range)


def _cut(text: str, grain: int) -> str:
    """A moment's text with its fraction cut; offset and all else stay."""
    moment = datetime.fromisoformat(text)
    cut = (moment - timedelta(microseconds=moment.microsecond % grain)).isoformat()
    return f"{cut[:-6]}Z" if text.endswith("Z") else cut
