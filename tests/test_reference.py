"""`.ci/reference` finds what is wrong with a page; `.ci/run` builds the real pages, which takes some seconds."""

from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

import syllable_async
from syllable_async import errors, jobs, models, testing
from syllable_async.testing import faults

COMMAND = Path(__file__).parent.parent / ".ci" / "reference"
PAGE = '<section id="Sessions"><div id="Sessions.list"></div></section><section id="APIError"></section>'
ERRORS = '<section id="APIError"><div id="APIError.retry_after"></div></section><h2 id="a-heading">'
PUBLIC = {"syllable_async": ["Sessions", "APIError"], "syllable_async.errors": ["APIError"]}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    loader = SourceFileLoader("reference", str(COMMAND))
    spec = importlib.util.spec_from_loader("reference", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    loader.exec_module(module)
    return module


@pytest.fixture
def names(reference: ModuleType) -> object:
    anchors = {"syllable_async": reference.anchors(PAGE), "syllable_async.errors": reference.anchors(ERRORS)}
    return reference.Names(anchors, {"RateLimitError.retry_after": "APIError.retry_after"})


@pytest.mark.parametrize(
    ("text", "near", "target"),
    [
        ("APIError", "syllable_async", "syllable_async#APIError"),
        ("APIError", "syllable_async.errors", "syllable_async.errors#APIError"),
        ("client.sessions.list", "syllable_async.errors", "syllable_async#Sessions.list"),
        ("sessions.list()", "syllable_async", "syllable_async#Sessions.list"),
        ("errors.APIError", "syllable_async", "syllable_async.errors#APIError"),
        ("syllable_async.errors", "syllable_async", "syllable_async.errors#"),
        ("RateLimitError.retry_after", "syllable_async", "syllable_async.errors#APIError.retry_after"),
        ("client.sessions.lst", "syllable_async", None),
    ],
)
def test_a_name_is_found_as_docstrings_write_it(
    reference: ModuleType, names: object, text: str, near: str, target: str | None
) -> None:
    assert reference.Names.find(names, text, near) == target


@pytest.mark.parametrize("text", ["APIEror", "Sessions.lst", "client.sesions", "RecordingStreem.save()"])
def test_a_misspelt_public_name_is_a_problem(reference: ModuleType, names: object, text: str) -> None:
    page = f"<p><code>{text}</code></p>"
    assert reference.link_names(page, "syllable_async", names) == (page, [text])


@pytest.mark.parametrize("text", ["retry_after", "Retry-After", "ValueError", "aiohttp.ClientSession", "a b", "Range"])
def test_what_is_not_ours_is_none(reference: ModuleType, names: object, text: str) -> None:
    page = f"<p><code>{text}</code></p>"
    assert reference.link_names(page, "syllable_async", names) == (page, [])


def test_a_public_name_of_another_page_becomes_a_link(reference: ModuleType, names: object) -> None:
    page, unknown = reference.link_names("<code>sessions.list</code>", "syllable_async.errors", names)
    assert page == '<code><a href="../syllable_async.html#Sessions.list">sessions.list</a></code>'
    assert unknown == []


@pytest.mark.parametrize("target", ["#Sessions.lst", "syllable_async/eror.html", "syllable_async/errors.html#Nothing"])
def test_a_link_that_leads_nowhere_is_a_problem(reference: ModuleType, target: str) -> None:
    page = PAGE + f'<a href="syllable_async/errors.html#APIError"></a><a href="{target}"></a>'
    problems = list(reference.dead_links({"syllable_async": page, "syllable_async.errors": ERRORS}))
    assert len(problems) == 1
    assert target in problems[0]


def test_a_public_name_without_a_place_is_a_problem(reference: ModuleType, names: object) -> None:
    assert list(reference.missing_names(PUBLIC, names)) == []
    problems = list(reference.missing_names(PUBLIC | {"syllable_async.errors": ["APIError", "Gone"]}, names))
    assert problems == ["syllable_async.errors: Gone is public and has no place in the reference"]


def test_a_public_function_without_a_docstring_is_a_problem(reference: ModuleType) -> None:
    module = ModuleType("syllable_async.x")
    exec("class A:\n '''a'''\n def b(self): pass\n @property\n def c(self): '''c'''\ndef d(): pass", vars(module))
    vars(module)["A"].__module__ = "syllable_async.x"
    problems = list(reference.undocumented(module, ["A", "d"]))
    assert problems == ["syllable_async.x: A.b has no docstring", "syllable_async.x: d has no docstring"]


def test_every_public_module_has_a_page(reference: ModuleType) -> None:
    found = pkgutil.walk_packages(syllable_async.__path__, "syllable_async.")
    public = {module.name for module in found if not any(part.startswith("_") for part in module.name.split("."))}
    assert set(reference.MODULES) == {"syllable_async", *public}


@pytest.mark.skipif(importlib.util.find_spec("pdoc") is None, reason="needs the extra docs")
def test_every_public_name_has_its_place_and_nothing_is_a_problem() -> None:
    """In a process of its own: the command lends names to the modules that it reads."""
    done = subprocess.run([sys.executable, str(COMMAND)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_public_modules_are_documented(reference: ModuleType) -> None:
    for module in (syllable_async, errors, models, jobs, testing, faults):
        assert list(reference.undocumented(module, module.__all__)) == []
