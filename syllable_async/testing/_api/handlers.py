"""The API itself: a call in, an answer out. No socket and no clock but the one it is given."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from .._data import VOICE, Bounds, ListQuery, Store, conversations, wav
from .._json import encode_text, to_bytes
from .query_params import BadQueryError, UnprocessableError, read_list_query, read_token
from .range_requests import ranged
from .response import JSON, Answer, error, json_answer
from .routes import ROOT, STREAM, Call

READS_UNTIL_COMPLETE = 3


class Tokens:
    """Tokens of the recording stream: opaque, and good for a while."""

    def __init__(self, seed: int, lifetime: float, clock: Callable[[], float]) -> None:
        self._seed = seed
        self._clock = clock
        self._minted = 0
        self._live: dict[str, tuple[str, int, float]] = {}
        self.lifetime = lifetime
        self.refusal = 403
        """The status that answers an unknown or expired token."""

    def mint(self, session_id: str, number: int) -> str:
        """A new token for one of a session's recordings."""
        self._minted += 1
        token = blake2b(f"{self._seed}/{self._minted}".encode(), digest_size=24).hexdigest()
        self._live[token] = (session_id, number, self._clock() + self.lifetime)
        return token

    def redeem(self, token: str) -> tuple[str, int] | None:
        """The session and the number of the recording; None for an unknown or expired token."""
        session_id, number, end = self._live.get(token, ("", 0, float("-inf")))
        return (session_id, number) if self._clock() < end else None

    def expire(self, refusal: int = 403) -> None:
        """Let every token minted so far be expired, and answer them by this status."""
        self._live.clear()
        self.refusal = refusal


class API:
    """Answers calls from a store of sessions."""

    def __init__(self, store: Store, tokens: Tokens, seed: int, bounds: Bounds) -> None:
        self._store = store
        self._seed = seed
        self._bounds: Bounds = bounds
        self._reads: dict[int, int] = {}
        self.tokens = tokens
        self._operations: dict[str, Callable[[Call], Answer]] = {
            "sessions.list": self._list,
            "sessions.get_by_id": lambda call: self._of_session(call, self._store.row),
            "sessions.get_full_summary": lambda call: self._of_session(call, self._summary),
            "sessions.get_transcript": lambda call: self._of_session(call, self._transcript),
            "sessions.get_latency": lambda call: self._of_session(call, self._latency),
            "sessions.get_timeline": lambda call: self._of_session(call, self._timeline),
            "sessions.generate_recording_urls": self._mint,
            "sessions.stream_recording": self._stream,
        }

    def answer(self, call: Call) -> Answer:
        """The answer to a call that has an operation and came with the right key."""
        try:
            return self._operations[str(call.operation)](call)
        except UnprocessableError as refusal:
            return json_answer({"detail": refusal.detail}, 422)
        except BadQueryError as refusal:
            return error(400, str(refusal))

    def _list(self, call: Call) -> Answer:
        query = read_list_query(call.params, self._bounds)
        for change in call.adjust:
            query = change(query)
        with self._store.lock:
            indices, count = self._store.page(query)
            items = [self._store.text(index) if not query.fields else self._part(index, query) for index in indices]
        limit = query.limit if query.echo_limit is None else query.echo_limit
        page = {
            "page": query.page if query.echo_page is None else query.echo_page,
            "page_size": limit,
            "total_pages": -(-count // limit) if limit else 0,
            "total_count": count,
        }
        body = f'{{"items":[{",".join(items)}],{encode_text(page)[1:]}'
        return Answer(200, {"Content-Type": JSON}, to_bytes(body))

    def _part(self, index: int, query: ListQuery) -> str:
        row = self._store.row(index)
        return encode_text({name: row[name] for name in {"timestamp": None, **dict.fromkeys(query.fields)}})

    def _of_session(self, call: Call, show: Callable[[int], Any]) -> Answer:
        with self._store.lock:
            index = self._store.find(call.session_id)
            return error(404, "Session not found") if index is None else json_answer(show(index))

    def _key(self, index: int, purpose: str) -> str:
        return f"{self._seed}/{purpose}/{index}"

    def _summary(self, index: int) -> Any:
        made_up = conversations.summary(self._store.row(index), self._key(index, "summary"))
        return {name: self._store.extras(index).get(name, value) for name, value in made_up.items()}

    def _conversation(self, index: int) -> conversations.Conversation:
        return conversations.conversation(self._store.row(index), self._key(index, "conversation"))

    def _transcript(self, index: int) -> Any:
        row = self._store.row(index)
        reads = self._reads[index] = self._reads.get(index, 0) + 1
        needed = self._store.extras(index).get("complete_after", self._usual_reads(index))
        counted = row["channel_manager_type"] in VOICE and row["duration"] is not None and not row["is_legacy"]
        share = min(1.0, reads / needed)
        return conversations.transcript(self._conversation(index), share, complete=counted and reads >= needed)

    def _usual_reads(self, index: int) -> int:
        """One session in eight is read before its transcript has arrived."""
        late = blake2b(self._key(index, "pipeline").encode(), digest_size=1).digest()[0] < 32
        return READS_UNTIL_COMPLETE if late else 1

    def _latency(self, index: int) -> Any:
        return conversations.latency(self._conversation(index))

    def _timeline(self, index: int) -> Any:
        return conversations.timeline(self._conversation(index))

    def recordings(self, index: int) -> list[bytes]:
        """The WAV files of a session: one per leg of the call, none where there was no call."""
        row = self._store.row(index)
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
        tokens = [self.tokens.mint(call.session_id, number) for number in range(len(self.recordings(index)))]
        urls = [f"{call.origin}{ROOT}{STREAM}?token={token}" for token in tokens]
        return {"session_id": call.session_id, "recordings": urls}

    def _stream(self, call: Call) -> Answer:
        granted = self.tokens.redeem(read_token(call.params))
        if granted is None:
            return error(self.tokens.refusal, "Invalid or expired token")
        session_id, number = granted
        with self._store.lock:
            index = self._store.find(session_id)
            recordings = [] if index is None else self.recordings(index)
        if number >= len(recordings):
            return error(404, "Recording not found")
        return ranged(recordings[number], "application/octet-stream", call.range, call.if_range)
