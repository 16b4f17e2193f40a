"""When a request must be answered."""

from service.errors import ApiError, ErrorCode

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_MAX_TIMEOUT_DIGITS = 12


def timeout_s_of(header: str | None, longest_ms: int) -> float:
    """Return the time that a request has, in seconds: what its header says, and no more than the longest.

    Raises:
        ApiError: invalid_header.
    """
    if header is None:
        return longest_ms / 1000
    digits = header.strip()
    valid = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_TIMEOUT_DIGITS and int(digits) > 0
    if not valid:
        raise ApiError(
            ErrorCode.INVALID_HEADER,
            f"{TIMEOUT_HEADER} must be a whole number of milliseconds above 0.",
            field=TIMEOUT_HEADER,
        )
    return min(longest_ms, int(digits)) / 1000
