"""`.ci/drift` says nothing of the release that we follow, and names whatever another one does differently."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
import syllable_sdk

COMMAND = Path(__file__).parent.parent / ".ci" / "drift"
VENDOR = Path(syllable_sdk.__file__).parent


@pytest.fixture(scope="module")
def drift() -> ModuleType:
    loader = SourceFileLoader("drift", str(COMMAND))
    spec = importlib.util.spec_from_loader("drift", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["drift"] = module
    loader.exec_module(module)
    return module


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A copy of the vendor's package, to be changed."""
    folder = tmp_path / "syllable_sdk"
    shutil.copytree(VENDOR / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    for source in VENDOR.glob("*.py"):
        shutil.copy(source, folder)
    return folder


def edit(old: str, new: str, file: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text("utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), "utf-8")

    return change


def without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


COST = "cost: OptionalNullable[float] = UNSET"
BY_SID = "/session_debug/sid/{channel_manager_service}/{channel_manager_sid}"
NEW_OPERATION = """
class More:
    def remove(self, *, session_label_id: int) -> models.SessionLabel:
        self._build_request(method="DELETE", path="/api/v1/session_labels/{session_label_id}")


class """
CHANGES: list[tuple[Callable[[Path], None], list[str]]] = [
    (
        edit("\n    issue_categories: OptionalNullable[List[str]] = UNSET\n", "\n", "models/sessionlabel.py"),
        ["model SessionLabel, field issue_categories is gone"],
    ),
    (
        edit("    tool_name: str\n", f"    tool_name: str\n    {COST}\n", "models/toolresultdata.py"),
        ["model ToolResultData, field cost: float or null is new"],
    ),
    (
        edit("    messages: List[SessionMessage]\n", "    messages: List[str]\n", "models/sessiondata.py"),
        ["model SessionData, field messages: list[str], with us list[SessionMessage]"],
    ),
    (
        edit("    comments: OptionalNullable[str] = UNSET\n", "    comments: str\n", "models/sessionlabelcreate.py"),
        [
            "model SessionLabelCreate, field comments: str, with us str or null",
            "model SessionLabelCreate, field comments: required, with us not so",
        ],
    ),
    (
        edit('USER = "user"', 'USER = "user"\n    SYSTEM = "system"', "models/dialogrole.py"),
        ["enum DialogRole: 'system' is new"],
    ),
    (edit('    ASC = "asc"\n', "", "models/orderbydirection.py"), ["enum OrderByDirection: 'asc' is gone"]),
    (
        edit("    timestamp: datetime\n", "    timestamp: datetime\n    mood: Mood\n", "models/sessionmessage.py"),
        ["model SessionMessage, field mood: Mood is new"],
    ),
    (
        edit("/api/v1/session_debug/sid/", "/api/v2/session_debug/sid/", "session_debug.py"),
        [
            f"operation session_debug.get_session_data_by_sid: GET /api/v2{BY_SID}, with us GET /api/v1{BY_SID}",
        ],
    ),
    (
        edit("session_label_id: int,\n", "session_label_id: bool, at: Optional[int] = None,\n", "session_labels.py"),
        [
            "operation session_labels.get_by_id, parameter session_label_id: bool, with us int or str",
            "operation session_labels.get_by_id, parameter at: int is new",
        ],
    ),
    (
        edit("\nclass ", NEW_OPERATION, "session_labels.py"),
        ["operation session_labels.remove: DELETE /api/v1/session_labels/{session_label_id} is new"],
    ),
    (without("timeline.py"), ["operation timeline.get_by_id is gone"]),
]  # fmt: skip


def test_the_release_that_we_follow_is_the_same(drift: ModuleType) -> None:
    assert drift.differences(VENDOR) == []
    done = subprocess.run([sys.executable, COMMAND, "--folder", VENDOR], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[said[0][:50] for _, said in CHANGES])
def test_a_release_that_differs_is_told(
    drift: ModuleType, release: Path, change: Callable[[Path], None], said: list[str]
) -> None:
    change(release)
    assert drift.differences(release) == said


def test_a_difference_fails_the_command(release: Path) -> None:
    without("timeline.py")(release)
    done = subprocess.run([sys.executable, COMMAND, "--folder", release], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "operation timeline.get_by_id is gone\n")


def test_what_we_lose_is_told(drift: ModuleType, tmp_path: Path) -> None:
    ours = tmp_path / "syllable_async"
    shutil.copytree(drift.OURS, ours, ignore=shutil.ignore_patterns("__pycache__"))
    edit("async def create(", "async def _create(", "_endpoints/session_labels.py")(ours)
    edit("    tool_name: str\n    tool_result: Any", "    tool_result: Any", "models.py")(ours)
    edit("class DialogRole(", "class _DialogRole(", "models.py")(ours)
    assert drift.differences(VENDOR, ours) == [
        "operation session_labels.create: we have lost it",
        "model DialogRole is new",
        "model ToolResultData, field tool_name: str is new",
    ]
