"""The structure: which file stands where, who imports whom, how long functions are."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import syllable_async

PACKAGE = Path(syllable_async.__file__).parent
ROOT = Path(__file__).parent.parent
FLOORS = {  # what stands at the top of the package, and its floor: imports go down
    "errors": 0,
    "models": 0,
    "_messages": 0,
    "_timing": 0,
    "_validators": 0,
    "_decoding": 1,
    "_retry": 1,
    "_pagination": 1,
    "_recordings": 1,
    "_http": 2,
    "_endpoints": 3,
    "_client": 4,
    "__init__": 5,
    "jobs": 6,
    "__main__": 7,
}
BESIDE = {"_http": {"_retry"}}
"""Rooms of floors 1 to 3 import floor 0 and these rooms; `_endpoints` and what is above it import every room below."""
ORDERS = {  # each room's files from left to right: those on the left import none on their right
    "_decoding": [["native", "lenient"], ["converter"], ["decode"]],
    "_retry": [["policy", "quota"], ["retrier"]],
    "_pagination": [
        ["query", "iterators", "offset_state", "keyset_page"],
        ["known_ids"],
        ["cursor", "offset", "keyset_state"],
        ["offset_pager", "span"],
        ["parallel"],
        ["keyset"],
        ["pager"],
    ],
    "_recordings": [
        ["resume", "stall", "media_types", "disk"],
        ["filenames"],
        ["download", "file"],
        ["stream"],
        ["bulk"],
    ],
    "_http": [
        ["status_errors", "content_coding", "url_safety", "requests", "auth", "pace", "spans"],
        ["connection_errors"],
        ["aiohttp_internals"],
        ["body", "pool"],
        ["transport"],
        ["streaming"],
    ],
    "_endpoints": [["endpoint"], ["sessions", "session_labels", "session_debug", "lists"]],
    "jobs": [
        ["_days", "_patience", "_threads", "_schema", "_storage", "_reports"],
        ["_walk", "_problems", "_progress"],
        ["_day_file"],
        ["_export", "_download", "_follow"],
        ["_command"],
    ],
}
FACES = {  # what leaves a room
    "_decoding": """Converter check_converter check_invalid_row_hook decode decode_page list_response_type
        make_converter to_dict to_json""",
    "_retry": "CallState Retrier Retries RetryPolicy RetryQuota check_policy",
    "_pagination": """Cursor FetchRows FilteredQuery Identity LabelQuery ListQuery OffsetPager PageQuery Pager""",
    "_recordings": """BulkProgress DiskThreads DownloadIterator DownloadOutcome IfExists Opener RecordingStream
        SavedRecording SessionSource download_recordings recording_stem""",
    "_http": """ApiKey Body ConnectionPool Gates PoolLimits RecordingRequest Transport build_request check_base_url
        check_headers encode_path_segment plain_headers request_id""",
    "_endpoints": "Lists SessionDebug SessionLabels Sessions",
    "jobs": """DayReport DownloadReport ExportReport FollowReport JobProgress TargetError download export follow
        main""",
}
OTHERS = {  # packages of others, and the only places that may import them
    "aiohttp": {"_http", "_client"},
    "cattrs": {"_decoding", "_client"},
    "tenacity": {"_retry", "_client"},
    "msgspec": {
        "_decoding",
        "_http/status_errors",
        "_http/requests",
        "_messages",
        "_pagination/query",
        "_retry/retrier",
        "jobs",
    },
    "syllable_async": {"jobs"},
    "pyarrow": {"jobs/_schema"},
    "fsspec": {"jobs/_storage"},
    "rich": {"jobs/_progress"},
    "yarl": {"_http"},
    "attrs": {""},
    "msgspec.structs": {""},  # private records without a secret: Python compiles nothing for them at import
    "opentelemetry": {"_http", "_client"},
}
PURE = {
    "_messages",
    "_retry/policy",
    "_retry/quota",
    "_pagination/query",
    "_pagination/offset_state",
    "_pagination/keyset_state",
    "_pagination/keyset_page",
    "_pagination/known_ids",
    "_pagination/cursor",
    "_pagination/span",
    "_recordings/resume",
    "_recordings/filenames",
    "_recordings/media_types",
    "jobs/_days",
}
"""Rules without I/O: tested without a loop, and covered by the mutation run."""
IMPURE = {"asyncio", "aiohttp", "os", "time", "socket", "ssl", "threading"}
PRIVATE_OF_AIOHTTP = re.compile(
    r"\bResponseHandler\b|\b_factory\b|\b_retry_connection\b|\b_middlewares\b|total_raw_bytes|\.protocol\b"
    r"|_release\(self, key"
)

OLD_NAMES = {  # names that were replaced by those of the field, and must not come back
    "_messages": "Reply ByteReply template repeatable",
    "_timing": "Time Limit _Alarm rang _off Sleep",
    "_validators": "at_least seconds _seconds _check_timeout instant _moment _iso _strings",
    "_http/requests": "segment any_request _check_literal _pairs _text _PLAIN url",
    "_http/auth": "KeySource check_key key_problem _key_source KEY_HEADER",
    "_http/transport": "_exchange _send failure take_slot timed_out _left _limit by log",
    "_http/streaming": "Opening at _follow _arrived _target _Stream",
    "_http/pool": "Connections enter _make _borrow AS_WE_SAY",
    "_http/aiohttp_internals": "_Handler _Connector _is_fit _has_input no_replay CURRENT_CALL",
    "_http/body": "Body read_all KEPT _watch _is_bomb framing",
    "_http/status_errors": "status_error _CLASSES _number _until _Entry",
    "_http/connection_errors": "FAILURES connection_error failure_reason Replayed",
    "_http/url_safety": "own_token check_token _is_literal _NAME _OWN_HEADERS",
    "_retry/quota": "Throttle take give_back pause paused_until",
    "_retry/policy": "_is_worth _is_transient _may_repeat",
    "_retry/retrier": """Call StreamRetrier _Judge _again _ask _asked _paced _reason _recipe connected retry_if rules
        sent stop_when tell using wait_for""",
    "_pagination/query": "make pairs for_walk for_walk_by_key bounds PAGE_SIZE NEEDED",
    "_pagination/iterators": "Walk SessionWalk _step _more _next_row",
    "_pagination/offset": "_from_flight _fly _cancel _cancel_from_anywhere _retrieve _wanted",
    "_pagination/offset_state": """Ledger MOST_PAGES REMEMBERED _doubted _is_doubtful _marks _refuse_loop _unseen _warn
        _watch enter known_end longest number""",
    "_pagination/keyset_state": """BEGINNING Block Bounds Key MOST_PASSES Seen Step TICK again at behind believed clean
        earlier enter longest number reached""",
    "_pagination/keyset": "_ask _enter _check _restart _floor _reached _doubted _passes",
    "_recordings/resume": "Held Ask ask Offer judge _part whole_at ended shrink Tail Comparison strong",
    "_recordings/download": """Source _adopt _broke _clip _drop _end _probe _take _unproven advance answered hashed_by
        mint""",
    "_recordings/stall": "Pace _judge SLOWEST restart",
    "_recordings/stream": "Retrier _guarded _run _Chunks _Pieces",
    "_recordings/file": "Writer _hand_over _wait _leave _checked _name_by FEW IN_FLIGHT SYNC_EACH",
    "_recordings/filenames": "stem extension",
    "_decoding/decode": "Misfit misfit WRONG_REPLY",
    "_decoding/native": "load native",
    "_decoding/converter": """HookedConverter load_hooked _touched _touch _is_touched _slow_hook _reachable _strict""",
    "_endpoints/sessions": "_by _own _opening _about _page _mint",
}


def place(path: Path) -> str:
    """A file's name in these tables: its path in the package without the ending."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


FILES = {place(path): path for path in sorted(PACKAGE.rglob("*.py")) if "testing" not in path.parts}
ROOMS = {name: [file for group in order for file in group] for name, order in ORDERS.items()}


def imports(file: str) -> tuple[set[str], set[str]]:
    """Files of ours (a room's face by the room's name), and packages of others, imported anywhere in a file."""
    ours: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(FILES[file].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            parent = FILES[file].parents[node.level - 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            ours |= {parent.joinpath(*name.split(".")).relative_to(PACKAGE).as_posix() for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            is_record = node.module == "msgspec.structs" or {alias.name for alias in node.names} <= {"Struct", "field"}
            others.add("msgspec.structs" if is_record else node.module.partition(".")[0])
    return ours, others - set(sys.stdlib_module_names)


def test_every_file_is_in_a_row() -> None:
    inside = {f"{room}/{file}" for room, files in ROOMS.items() for file in [*files, "__init__"]}
    assert set(FILES) == inside | (set(FLOORS) - set(ROOMS))


@pytest.mark.parametrize("file", FILES)
def test_imports_go_down_and_through_the_faces(file: str) -> None:
    room = file.partition("/")[0]
    for target in imports(file)[0]:
        other, _, inside = target.partition("/")
        if other == room:
            continue
        assert not inside, f"{file} looks behind the face of {other}"
        beside = FLOORS[room] == 2 and other in BESIDE[room]
        assert FLOORS[other] == 0 or beside or (FLOORS[room] > 2 and FLOORS[other] < FLOORS[room]), target
        assert FLOORS[room] > 0


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_the_left_imports_nothing_of_the_right(room: str) -> None:
    before: set[str] = set()
    for group in ORDERS[room]:
        for file in group:
            inside = {name.partition("/")[2] for name in imports(f"{room}/{file}")[0] if name.startswith(f"{room}/")}
            assert inside <= before, file
        before |= set(group)


@pytest.mark.parametrize("room", ROOMS)
def test_a_face_shows_what_leaves_the_room_and_nothing_else(room: str) -> None:
    face = ast.parse(FILES[f"{room}/__init__"].read_text("utf-8"))
    shown = [alias.name for node in ast.walk(face) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(shown) == sorted(FACES[room].split())


@pytest.mark.parametrize("file", FILES)
def test_packages_of_others_are_imported_where_they_belong(file: str) -> None:
    for package in imports(file)[1]:
        assert any(file.startswith(where) for where in OTHERS[package]), package


@pytest.mark.parametrize("file", sorted(PURE))
def test_pure_rules_do_no_io(file: str) -> None:
    tree = ast.parse(FILES[file].read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.partition(".")[0] for name in modules} & IMPURE


def test_what_aiohttp_keeps_private_stands_in_one_file() -> None:
    for file, path in FILES.items():
        found = PRIVATE_OF_AIOHTTP.search(path.read_text("utf-8"))
        assert found is None or file == "_http/aiohttp_internals", (file, found)


def defined_names(file: str) -> set[str]:
    """Classes, functions, parameters, variables and attributes that a file gives a name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(FILES[file].read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


@pytest.mark.parametrize("file", OLD_NAMES)
def test_no_replaced_name_is_defined_again(file: str) -> None:
    assert not defined_names(file) & set(OLD_NAMES[file].split())


def test_cattrs_is_imported_with_the_first_client_and_tenacity_with_the_first_retry() -> None:
    code = (
        "import sys, syllable_async; print({*sys.modules} & {*sys.argv});"
        "syllable_async.AsyncSyllableClient('key'); print({*sys.modules} & {*sys.argv})"
    )
    command = [sys.executable, "-c", code, "cattrs", "tenacity"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n{'cattrs'}\n"


def functions(path: Path) -> list[int]:
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in found]


def test_functions_are_short() -> None:
    lengths = [length for path in FILES.values() for length in functions(path)]
    assert statistics.median(lengths) <= 11


def test_every_file_begins_with_a_sentence_that_says_what_is_in_it() -> None:
    for file, path in FILES.items():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        assert re.match(r"[A-Z].*[.:]$", docstring.splitlines()[0]), file


def test_the_guide_shows_every_room() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d) \| (.*?) \|", guide, re.MULTILINE)
    shown = {name.rstrip("/"): int(floor) for floor, names in rows for name in re.findall(r"`([\w/]+)`", names)}
    assert shown == FLOORS
    for room, files in ROOMS.items():
        line = next(line for line in guide.splitlines() if line.startswith(f"| `{room}/` |"))
        assert set(re.findall(r"`(\w+)`", line)) == set(files)


def test_what_the_guide_names_is_there() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    modules = set(re.findall(r"(?<![\w/.])(_[a-z]+/\w+)", guide))
    assert len(modules) > 15
    assert modules <= set(FILES)
    paths = set(re.findall(r"(?<![\w/])((?:tests|\.ci|syllable_async)/[\w/.]*\w)", guide))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == syllable_async.__version__ or versions[:2] == ["Unreleased", syllable_async.__version__]


def test_public_names() -> None:
    assert sorted(syllable_async.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(syllable_async, name) for name in syllable_async.__all__)


def test_the_tested_package_is_the_one_that_was_meant() -> None:
    """Against an installed wheel the checkout must not be what is imported."""
    expected = os.environ.get("SYLLABLE_ASYNC_FROM")
    assert expected is None or expected in PACKAGE.parts


PUBLIC = """
APIError AsyncSyllableClient AuthenticationError BadRequestError ClientClosedError InvalidRow
Cursor DownloadOutcome HTTPValidationError IncompleteRecordingError
InspectLatencyResponse InternalServerError LatencyCategory LatencyEntry LatencyUnitType ListResponse ListResponseSession
NotFoundError OffsetPager OrderByDirection Pager PaginationDriftWarning PaginationError PermissionDeniedError
RateLimitError RawResponse RecordingChangedError RecordingError RecordingStream ResponseDriftWarning
ResponseValidationError RetryPolicy SavedRecording
Session SessionAction SessionProperties SessionRecordingResponse SessionSummaryResponse SessionText
SessionTimelineResponse SessionTranscriptionResponse Sessions SummaryEntry SyllableConnectionError SyllableError
SyllableTimeoutError TimelineEvent TimelineEventKind TranscriptConfidence TranscriptWordConfidence
UntrustedRecordingURLError ValidationError __version__ decode make_converter to_dict to_json
DialogMessage DialogRole DialogToolCall ListResponseSessionLabel SessionData SessionDebug SessionLabel
SessionLabelCreate SessionLabelProperties SessionLabels SessionMessage ToolResultData
"""
