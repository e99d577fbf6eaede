"""Jobs that run every night."""

import typing as _typing

import attrs as _attrs

from ._export import export
from ._reports import DayReport, ExportReport, JobProgress
from ._storage import TargetError

__all__ = ["DayReport", "ExportReport", "JobProgress", "TargetError", "export"]

for _public in [globals()[_name] for _name in __all__]:
    # As in the package's root: pickles and `help` name the place to import from.
    if _attrs.has(_public):
        _public.__annotations__ = _typing.get_type_hints(_public)
        _attrs.resolve_types(_public)
    _public.__module__ = __name__
