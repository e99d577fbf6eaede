"""Recordings: read once, resumed after a cut, saved whole. This room sees no network."""

from .bulk import BulkProgress, DownloadIterator, DownloadOutcome, SessionSource, download_recordings
from .disk import DiskThreads
from .download import Opener
from .file import IfExists, SavedRecording
from .filenames import recording_stem
from .stream import RecordingStream

__all__ = [
    "BulkProgress",
    "DiskThreads",
    "DownloadIterator",
    "DownloadOutcome",
    "IfExists",
    "Opener",
    "RecordingStream",
    "SavedRecording",
    "SessionSource",
    "download_recordings",
    "recording_stem",
]
