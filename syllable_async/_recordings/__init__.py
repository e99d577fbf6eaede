"""Recordings: read once, resumed after a cut, saved whole. This room sees no network."""

from .disk import DiskThreads
from .download import Opener
from .file import SavedRecording
from .filenames import recording_stem
from .stream import RecordingStream

__all__ = ["DiskThreads", "Opener", "RecordingStream", "SavedRecording", "recording_stem"]
