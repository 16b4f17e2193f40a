"""GET /, /docs and the files of both under /page: plain files, allowed to load nothing from elsewhere."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import ApiError, ErrorCode

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[1] / "page"
# Colours and type, which training's report has too.
_LOOK = Path(__file__).parents[2] / "classifier" / "look.css"
_TYPES = {".js": "text/javascript; charset=utf-8", ".eml": "message/rfc822"}

# Mail is hostile: nothing is loaded but the page's own files, no script or style can come from markup, and no string
# can become markup at all (trusted types), whatever mistake the page's code may have.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for again with its ETag: a new release shows at once
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Show the page."""
    return _answer(request, "index.html")


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> Response:
    """Show the OpenAPI document to people."""
    return _answer(request, "docs.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def file(name: str, request: Request) -> Response:
    """Return a file of the page."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise ApiError(ErrorCode.NOT_FOUND, "The page has no such file.")
    headers = {**_HEADERS, "ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(found.content, 200, headers, found.media_type)


@cache
def _files() -> Mapping[str, _File]:
    """All files by name, read once: what is not in here cannot be asked for, whatever the path says."""
    paths = [path for path in _FOLDER.iterdir() if path.is_file()]
    return {path.name: _read(path) for path in [*paths, _LOOK]}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
