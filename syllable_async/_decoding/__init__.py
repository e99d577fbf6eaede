"""From a response's bytes to a model, and back."""

from .decode import (
    Converter,
    check_converter,
    check_invalid_row_hook,
    decode,
    decode_page,
    list_response_type,
    make_converter,
    to_dict,
    to_json,
)

__all__ = [
    "Converter",
    "check_converter",
    "check_invalid_row_hook",
    "decode",
    "decode_page",
    "list_response_type",
    "make_converter",
    "to_dict",
    "to_json",
]
