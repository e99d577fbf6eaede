"""How to compare without fooling oneself.

Contestants work in turn, each in its own process, in rounds whose order alternates; a ratio is taken within a round,
where the machine is the same for both, and its median over all rounds is what counts. Processes are made anew for each
generation of rounds, because where a process lies in memory is worth some percent.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import attrs

Sample = dict[str, float]
"""One contestant's share of one round: `wall` and `cpu` in seconds for each call, `peak` and `grown` in bytes."""


@attrs.frozen
class Work:
    """What one contestant does in a round: a function of `worker`, how often, and its other arguments.

    Attributes:
        who: the contestant, where its name in the table says something else.
    """

    kind: str
    count: int = 1
    arguments: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    who: str = ""

    def less(self, divisor: int) -> Self:
        return attrs.evolve(self, count=max(1, self.count // divisor))


@attrs.frozen
class Goal:
    """A bound for one contestant's figure over another's, or over a number. Times are those of one call."""

    of: str
    over: str | float
    figure: str
    at_most: float | None = None
    at_least: float | None = None

    def ratios(self, samples: Mapping[str, Sequence[Sample]]) -> list[float]:
        upper = [sample[self.figure] for sample in samples[self.of]]
        if not isinstance(self.over, str):
            return [value / self.over for value in upper]
        return [a / b[self.figure] for a, b in zip(upper, samples[self.over], strict=True)]

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.at_most if self.at_most is not None else ratio >= (self.at_least or 0.0)

    @property
    def bound(self) -> str:
        return f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"


class Worker:
    """A contestant's process."""

    def __init__(self, name: str, url: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.worker", name, url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, work: Work) -> Sample:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"work": work.kind, "count": work.count, **work.arguments}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a contestant failed; its traceback stands above")
        whole: Sample = json.loads(line)
        return {**whole, "wall": whole["wall"] / work.count, "cpu": whole["cpu"] / work.count}

    def dismiss(self) -> None:
        self._process.communicate()


class Crew:
    """The processes of one generation; those that are hired twice are the same."""

    def __init__(self) -> None:
        self._workers: dict[tuple[str, str, str], Worker] = {}

    def hire(self, works: Mapping[str, Work], url: str) -> dict[str, Callable[[], Sample]]:
        """A process for each contestant, ready to do its work."""
        for name, work in works.items():
            who = work.who or name
            if (name, who, url) not in self._workers:
                self._workers[name, who, url] = Worker(who, url)
        return {name: partial(self._workers[name, work.who or name, url], work) for name, work in works.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.dismiss()


def in_turn(turns: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Everybody once a round, every other round backwards."""
    samples: dict[str, list[Sample]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in list(turns) if number % 2 else reversed(list(turns)):
            samples[name].append(turns[name]())
    return samples


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
