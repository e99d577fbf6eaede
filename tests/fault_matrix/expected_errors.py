"""Which class each status is."""

from __future__ import annotations

from syllable_async import errors

_CLASSES: dict[int, type[errors.APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.HTTPValidationError,
    429: errors.RateLimitError,
}


def class_of(status: int) -> type[errors.APIError]:
    """The error of an unsuccessful response."""
    return _CLASSES.get(status, errors.InternalServerError if status >= 500 else errors.APIError)
