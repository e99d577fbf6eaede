"""Recordings: read once, resumed after a cut, saved whole. This room sees no network."""

from .file import SavedRecording
from .filenames import recording_stem
from .stream import RecordingStream

__all__ = ["RecordingStream", "SavedRecording", "recording_stem"]
