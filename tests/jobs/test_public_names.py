"""What `syllable_async.jobs` shows, and what importing it costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import typing
from datetime import date

import pytest

from syllable_async import jobs
from syllable_async.jobs import DayReport, JobProgress, TargetError


def test_public_names() -> None:
    assert sorted(jobs.__all__) == jobs.__all__
    assert {getattr(jobs, name).__module__ for name in jobs.__all__} == {"syllable_async.jobs"}


@pytest.mark.parametrize(
    "value", [DayReport(day=date(2026, 1, 5), status="kept", address="x"), JobProgress()], ids=repr
)
def test_a_pickle_names_no_private_module(value: object) -> None:
    pickled = pickle.dumps(value)
    assert pickle.loads(pickled) == value
    assert b"jobs._" not in pickled


def test_annotations_can_be_resolved() -> None:
    assert typing.get_type_hints(DayReport)["day"] is date
    assert issubclass(TargetError, ValueError)


def test_neither_the_package_nor_its_jobs_import_what_the_extra_installs() -> None:
    code = "import sys, syllable_async, syllable_async.jobs; print({*sys.modules} & {*sys.argv})"
    command = [sys.executable, "-c", code, "pyarrow", "fsspec", "rich"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "set()\n"
