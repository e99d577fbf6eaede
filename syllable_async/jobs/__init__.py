"""Jobs that run every night."""

import typing as _typing

import attrs as _attrs

from ._command import main as main
from ._download import download
from ._export import export
from ._follow import follow
from ._reports import DayReport, DownloadReport, ExportReport, FollowReport, JobProgress
from ._storage import TargetError

__all__ = [
    "DayReport",
    "DownloadReport",
    "ExportReport",
    "FollowReport",
    "JobProgress",
    "TargetError",
    "download",
    "export",
    "follow",
]

for _public in [globals()[_name] for _name in __all__]:
    # As in the package's root: pickles and `help` name the place to import from.
    if _attrs.has(_public):
        _public.__annotations__ = _typing.get_type_hints(_public)
        _attrs.resolve_types(_public)
    _public.__module__ = __name__
