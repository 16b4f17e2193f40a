"""What routes share: fast JSON, and the documentation of refusals."""

from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from service.errors import STATUS, ErrorCode
from service.schemas import ErrorBody


def json_response(content: Any, status: int = 200) -> Response:
    """Return an answer; what cannot be JSON (a card may carry anything) is written as a string."""
    body = orjson.dumps(content, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, media_type="application/json")


def refusals(*codes: ErrorCode, body: type[BaseModel] = ErrorBody) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of a route for the OpenAPI document, a status for each group of codes."""
    documented: dict[int | str, dict[str, Any]] = {}
    for code in (*codes, ErrorCode.INTERNAL_ERROR):
        entry = documented.setdefault(STATUS[code], {"model": body, "description": ""})
        entry["description"] = ", ".join(filter(None, [entry["description"], f"`{code.value}`"]))
        if STATUS[code] in (429, 503):
            entry["headers"] = {"Retry-After": {"description": "Whole seconds.", "schema": {"type": "integer"}}}
    return documented
