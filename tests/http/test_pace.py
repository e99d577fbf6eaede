"""The five rules of the pace, measured in virtual time; and the naive rules, each of which one measure must catch."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import RateLimitError, RetryPolicy, SyllableTimeoutError
from syllable_async._http import pace
from syllable_async._http.pace import Gate, Pace, Patience
from syllable_async._http.transport import Transport
from syllable_async._timing import Clock
from tests.http.paced_servers import Bucket, Decide, Load, Moody, Once, Sliding, Windows, loaded, now
from tests.retry.scripts import clock
from tests.time_control import FakeTime

# --- measures ------------------------------------------------------------------------------------------------------


def a_burst_is_served() -> None:
    """1,000 calls at once, 100 a second: all succeed within 15 s with at most a quarter more requests."""
    for phase in (0.0, 0.21, 0.55, 0.83):
        load = loaded(Windows(100), lambda load: load.burst(1000), phase=phase)
        assert load.failures == []
        assert max(took for _, took in load.waits) <= 15
        assert len(load.sent) <= 1250


def a_limit_is_used() -> None:
    """32 workers get 0.8 of the limit for two minutes."""
    load = loaded(Windows(100), lambda load: load.workers(32, 120))
    assert load.failures == []
    assert len(load.waits) >= 0.8 * 100 * 120
    assert len(load.sent) <= 1.1 * len(load.waits)


def a_stray_refusal_is_soon_forgotten() -> None:
    """One 429 among 20 calls a second is felt no longer than its pause and 2 s."""
    load = loaded(Once(1005.0, 1.0), lambda load: load.steady(20, 40))
    assert load.failures == []
    ((refused_at, _),) = load.refusals
    assert [at for at, took in load.waits if took > 0.3 and at > refused_at + 1 + 2] == []
    assert max(took for _, took in load.waits) <= 1 + 2


def a_pause_is_kept() -> None:
    """300 calls, 100 slots: nobody leaves before the pause that the first refusal asked for is over."""
    load = loaded(Once(0.0, 3.0), lambda load: load.burst(300))
    ((refused_at, _),) = load.refusals
    assert load.failures == []
    assert load.sent_within(refused_at, refused_at + 2.99) == 0


def nobody_rushes_out_after_a_pause() -> None:
    """100 calls that waited do not leave as one."""
    load = loaded(Once(0.0, 3.0), lambda load: load.burst(300))
    ((refused_at, _),) = load.refusals
    assert load.sent_within(refused_at + 3, refused_at + 3.1) <= 12


def a_raised_limit_is_found() -> None:
    """20, and 60 a second from the 30th second on: used to 0.8 within 45 s."""
    raised = Windows(lambda at: 20 if at < 1030 else 60)
    load = loaded(raised, lambda load: load.workers(32, 30 + 45 + 20))
    assert load.succeeded(1075, 1095) >= 0.8 * 60
    assert load.succeeded(1010, 1030) >= 0.8 * 20


def a_lockout_is_survived() -> None:
    """For 15 s everything is refused: nothing fails, and soon afterwards the pace is what it was."""
    locked = Windows(lambda at: 0 if 1020 <= at < 1035 else 100)
    load = loaded(locked, lambda load: load.steady(20, 60))
    assert load.failures == []
    assert len([at for at, took in load.waits if at > 1050 and took > 0.5]) == 0


def a_changed_limit_is_kept() -> None:
    """60, 20 and again 60 a second: neither is flooded, and both are used."""
    changing = Windows(lambda at: 20 if 1030 <= at < 1060 else 60)
    load = loaded(changing, lambda load: load.workers(32, 125))
    assert load.failures == []
    assert load.succeeded(1035, 1060) >= 0.75 * 20
    assert load.succeeded(1105, 1125) >= 0.75 * 60
    assert len(load.sent) <= 1.1 * len(load.waits)


def a_503_that_asks_for_no_pause_is_no_event() -> None:
    """One request of 20 fails and may be repeated at once: 8 workers lose little more than these repetitions."""
    load = loaded(Moody(Windows(1e9), 0.05, ((503, 0.0),), 1), lambda load: load.workers(8, 30))
    assert load.failures == []
    assert load.succeeded(1000, 1030) >= 0.8 * 8 / 0.11


MEASURES = [
    a_503_that_asks_for_no_pause_is_no_event,
    a_burst_is_served, a_limit_is_used, a_stray_refusal_is_soon_forgotten, a_pause_is_kept,
    nobody_rushes_out_after_a_pause, a_raised_limit_is_found, a_lockout_is_survived, a_changed_limit_is_kept,
]  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_the_rules(measure: Callable[[], None]) -> None:
    measure()


# --- naive rules ---------------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def pause_looked_at_before_the_slot(patch: Patch) -> None:
    real = Transport.attempt

    async def attempt(self: Transport, *args: Any, **options: Any) -> Any:
        gate = self.gates.api
        if (left := gate.pace.paused_until - now()) > 0:
            await asyncio.sleep(left)
        return await real(self, *args, **options)

    async def never_waits(*_: object) -> None: ...

    patch.setattr(Transport, "attempt", attempt)
    patch.setattr(Transport, "_wait_for_turn", never_waits)


def no_gap(patch: Patch) -> None:
    patch.setattr(pace, "SPACING", 0.0)


def halved_at_the_first_refusal(patch: Patch) -> None:
    real = Pace._resume

    def resume(self: Pace) -> None:
        first = self._since is None
        real(self)
        if first:
            self._top, self._base = 10.0, 5.0  # half of what was accepted, however lonely the refusal is

    patch.setattr(Pace, "_resume", resume)


def pace_from_an_empty_round(patch: Patch) -> None:
    def resume(self: Pace) -> None:
        if self._since is not None:
            self._set_pace(self._since, self.paused_until - (self._event_at or 0.0))
        self._resuming = False
        self._since = self._second = self.paused_until
        self._accepted = self._in_second = self._in_second_before = 0

    patch.setattr(Pace, "_resume", resume)


def pace_averaged_over_the_epoch(patch: Patch) -> None:
    real = Pace._set_pace

    def set_pace(self: Pace, since: float, pause: float) -> None:
        average = self._accepted / max(self.paused_until - since - 1.0, 0.1)
        self._in_second = self._in_second_before = int(average)
        real(self, since, pause)

    patch.setattr(Pace, "_set_pace", set_pace)


def every_retry_after_is_a_pause(patch: Patch) -> None:
    def learn(self: Transport, gate: Gate, outcome: Any, sent_at: float, _: object) -> None:
        if getattr(outcome, "status", 200) in {429, 503}:
            gate.refused(sent_at, outcome.retry_after)
        else:
            gate.accepted(sent_at)

    patch.setattr(Transport, "_learn", learn)


def pace_that_never_grows(patch: Patch) -> None:
    def base(self: Pace) -> float:
        return self._base

    patch.setattr(Pace, "_pace", base)


CAUGHT_BY: dict[Callable[[Patch], None], Callable[[], None]] = {
    pause_looked_at_before_the_slot: a_pause_is_kept,
    no_gap: nobody_rushes_out_after_a_pause,
    halved_at_the_first_refusal: a_stray_refusal_is_soon_forgotten,
    pace_from_an_empty_round: a_lockout_is_survived,
    pace_averaged_over_the_epoch: a_changed_limit_is_kept,
    pace_that_never_grows: a_raised_limit_is_found,
    every_retry_after_is_a_pause: a_503_that_asks_for_no_pause_is_no_event,
}


@pytest.mark.parametrize("naive", CAUGHT_BY, ids=lambda naive: naive.__name__)
def test_a_measure_catches_each_naive_rule(naive: Callable[[Patch], None], monkeypatch: Patch) -> None:
    naive(monkeypatch)
    with pytest.raises(AssertionError):
        CAUGHT_BY[naive]()


# --- random clients and servers --------------------------------------------------------------------------------------


@attrs.frozen
class Caller:
    """One call of a story: when it comes, how patient it is, and when its task is cancelled, if it is."""

    at: float
    deadline: float | None
    attempts: int
    cancelled_after: float | None


SERVERS: dict[str, Callable[[], Decide]] = {
    "windows": lambda: Windows(20),
    "windows without Retry-After": lambda: Windows(20, None),
    "bucket": lambda: Bucket(10, 5),
    "bucket of 503": lambda: Bucket(10, 5, 1.0, 503),
    "sliding": lambda: Sliding(30, 5.0),
    "stray": lambda: Once(1002.0, 4.0),
    "always": lambda: Windows(0),
    "always, at once": lambda: Windows(0, 0.0),
    "never": lambda: Windows(1e9),
}
CALLERS = st.builds(
    Caller,
    at=st.floats(0, 20),
    deadline=st.sampled_from([None, 0.5, 5.0, 60.0]),
    attempts=st.sampled_from([1, 4]),
    cancelled_after=st.none() | st.floats(0, 8),
)


@given(
    st.sampled_from(sorted(SERVERS)), st.lists(CALLERS, max_size=60), st.sampled_from([1, 3, 100]),
    st.sampled_from([None, 5.0]), st.sampled_from([0.0, 0.2]), st.integers(0, 9),
)  # fmt: skip
def test_any_story_ends_without_a_storm(
    server: str, callers: list[Caller], slots: int, rate: float | None, faults: float, seed: int
) -> None:
    """Every call ends, none leaves in a pause, and every slot is given back (`loaded` looks)."""
    decide = Moody(SERVERS[server](), faults, ((503, None), (0, None), (404, None)), seed)

    async def story(load: Load) -> None:
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(one(load, caller))

    async def one(load: Load, caller: Caller) -> None:
        await asyncio.sleep(caller.at)
        policy = RetryPolicy(deadline=caller.deadline, max_attempts=caller.attempts)
        task = asyncio.create_task(load.call(policy))
        await asyncio.wait([task], timeout=caller.cancelled_after)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        else:
            task.result()

    load = loaded(decide, story, max_connections=slots, rate=rate)
    for refused_at, after in load.refusals:
        assert load.sent_within(refused_at + 1e-6, refused_at + (after or 0.0) - 1e-6) <= 0
    assert len(load.sent) <= 70 + 12 * len(callers)
    if rate is not None:
        assert all(later - earlier >= 0.999 / rate for earlier, later in itertools.pairwise(load.sent))


# --- single rules --------------------------------------------------------------------------------------------------


def test_a_server_that_always_refuses_ends_at_the_deadline_with_few_requests() -> None:
    load = loaded(Windows(0), lambda load: load.burst(1000))
    assert len(load.failures) == 1000
    assert {type(error) for error in load.failures} == {RateLimitError}
    assert len(load.sent) <= 200


def test_without_a_deadline_a_server_that_always_refuses_ends_the_call_too() -> None:
    async def one(load: Load) -> None:
        await load.call(RetryPolicy(deadline=None))
        assert 30 <= now() - 1000 <= 90

    load = loaded(Windows(0), one)
    assert [type(error) for error in load.failures] == [RateLimitError]


def test_a_rate_is_kept_by_all_calls_together() -> None:
    load = loaded(Windows(1e9), lambda load: load.burst(30), rate=10)
    assert load.failures == []
    gaps = [later - earlier for earlier, later in itertools.pairwise(load.sent)]
    assert [round(gap, 6) for gap in gaps] == [0.1] * 29


def test_a_call_whose_deadline_passes_in_the_queue_has_a_known_outcome() -> None:
    """It has begun, so its deadline runs while it waits for its turn to try again."""
    statuses = iter([503])

    async def work(load: Load) -> None:
        policy = RetryPolicy(initial=0, maximum=0, deadline=5.0)
        await asyncio.gather(load.call(policy), *(load.call() for _ in range(20)))

    load = loaded(lambda _: (next(statuses, 200), None), work, rate=1)
    [error] = load.failures
    assert isinstance(error, SyllableTimeoutError)
    assert (error.attempts, error.outcome_unknown) == (1, False)
    assert len(load.sent) == 21


async def test_a_gate_lets_in_by_ticket(fake_time: FakeTime) -> None:
    gate, order = Gate(clock(fake_time)), list[int]()
    gate.refused(fake_time.now, 5.0)
    tickets = [gate.ticket() for _ in range(4)]

    async def enter(ticket: int) -> None:
        assert await gate.enter(ticket, patience()) == "now"
        order.append(ticket)

    await asyncio.gather(*(enter(ticket) for ticket in reversed(tickets)))
    assert order == tickets
    assert fake_time.sleeps[0] == 5
    assert [round(seconds, 6) for seconds in fake_time.sleeps[1:]] == [0.01] * 3


async def test_a_gate_that_never_saw_a_refusal_is_not_active(fake_time: FakeTime) -> None:
    gate = Gate(clock(fake_time))
    assert not gate.active
    gate.refused(fake_time.now, 1.0)
    assert gate.active
    fake_time.now += 1
    assert await gate.enter(gate.ticket(), patience()) == "now"
    gate.accepted(fake_time.now)
    assert gate.active
    fake_time.now += 61
    gate.accepted(fake_time.now)
    assert not gate.active


async def test_who_waits_is_told_when_the_pause_grows_beyond_its_patience() -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(Clock(loop.time, asyncio.sleep))
    gate.refused(loop.time(), 30.0)
    short = asyncio.create_task(gate.enter(gate.ticket(), patience(seconds=40.0, began=loop.time())))
    long = asyncio.create_task(gate.enter(gate.ticket(), patience(seconds=None)))
    await asyncio.sleep(0)
    gate.refused(loop.time(), 50.0)
    gate.close()
    assert await short == "paused"
    assert await long == "closed"


async def test_nobody_sleeps_for_callers_who_are_gone() -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(Clock(loop.time, asyncio.sleep))
    gate.refused(loop.time(), 30.0)
    waiting = [asyncio.create_task(gate.enter(gate.ticket(), patience())) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_pauses_grow_while_nothing_is_accepted(fake_time: FakeTime) -> None:
    rules, pauses = Pace(clock(fake_time)), list[float]()
    for _ in range(6):
        rules.refused(fake_time.now, None)
        pauses.append(rules.paused_until - fake_time.now)
        fake_time.now = rules.paused_until
        rules.leave()
    assert pauses == [0.5, 1, 2, 4, 8, 8]
    rules.accepted(fake_time.now)
    rules.refused(fake_time.now, None)
    assert rules.paused_until - fake_time.now == 0.5


def test_who_did_not_pass_the_gate_makes_the_pause_grow_too(fake_time: FakeTime) -> None:
    """A call that was redirected to where an earlier one was refused."""
    rules, pauses = Pace(clock(fake_time)), list[float]()
    for _ in range(3):
        rules.refused(fake_time.now, None)
        pauses.append(rules.paused_until - fake_time.now)
        fake_time.now = rules.paused_until
    assert pauses == [0.5, 1, 2]


def test_refusals_of_what_was_under_way_are_one_event(fake_time: FakeTime) -> None:
    rules, sent_at = Pace(clock(fake_time)), fake_time.now
    for _ in range(50):
        fake_time.now += 0.01
        rules.refused(sent_at, 1.0)
    assert rules.empty_rounds == 1
    assert rules.paused_until == fake_time.now + 1


@pytest.mark.parametrize(
    ("given", "bears"),
    [
        ({"seconds": 60.0, "began": 1000.0}, True),
        ({"seconds": 19.0, "began": 1000.0}, False),
        ({"seconds": 19.0, "began": 1002.0}, True),
        ({"deadline_at": 1020.0}, False),
        ({"deadline_at": 1020.1}, True),
        ({"seconds": None, "longest": 19.0}, False),
        ({"seconds": None}, True),
    ],
    ids=str,
)
def test_a_pause_of_20_seconds_is_borne(given: dict[str, Any], bears: bool, fake_time: FakeTime) -> None:
    rules = Pace(clock(fake_time))
    rules.refused(fake_time.now, 20.0)
    assert patience(**given).bears(rules, fake_time.now) is bears


def patience(**given: Any) -> Patience:
    defaults: dict[str, Any] = {"deadline_at": None, "began": 0.0, "seconds": None, "longest": 60.0}
    return Patience(**{**defaults, **given})


def test_half_a_minute_of_waiting_for_a_turn_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    load = loaded(Windows(1e9), lambda load: load.burst(50), rate=1)
    assert load.failures == []
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.message for record in told] == [
        "a call has waited for 30 s for its turn: the setting `rate` sets the pace"
    ]
