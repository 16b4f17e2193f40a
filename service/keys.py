"""Who may call what: keys for scoring, other keys for administration, both compared in constant time."""

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from service.dependencies import State
from service.errors import ApiError, ErrorCode
from service.settings import Settings

bearer = HTTPBearer(auto_error=False, description="A key of HAMLET_API_KEYS or HAMLET_ADMIN_KEYS, where they are set.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
# How a key is sent, for refusals.
AS_BEARER = "`Authorization: Bearer <key>`"
AS_RSPAMD_DOES = "send it as the header Password, or as ?password="


async def require_key(state: State, credentials: Credentials) -> None:
    """Refuse a request without one of the keys, if any is set; before its body is read. Admin keys open this too."""
    check_key(state.settings, credentials.credentials if credentials else None, AS_BEARER)


async def require_admin(request: Request, state: State, credentials: Credentials) -> None:
    """Refuse a request without an admin key; where none is set, one that does not come from this very machine."""
    given = credentials.credentials if credentials else None
    check_admin(request, state.settings, given, AS_BEARER)


async def require_password(request: Request, state: State, credentials: Credentials) -> None:
    """As `require_key`, with the key sent as rspamd's clients send a password."""
    check_key(state.settings, _password(request, credentials), AS_RSPAMD_DOES)


async def require_admin_password(request: Request, state: State, credentials: Credentials) -> None:
    """As `require_admin`, with the key sent as rspamd's clients send a password."""
    check_admin(request, state.settings, _password(request, credentials), AS_RSPAMD_DOES)


def check_key(settings: Settings, given: str | None, how: str) -> None:
    """Raise unauthorized unless a key opens scoring; `how` says how to send one."""
    keys = settings.api_keys
    if keys and not _is_one_of((*keys, *settings.admin_keys), given):
        raise ApiError(ErrorCode.UNAUTHORIZED, f"A valid key is needed: {how}.")


def check_admin(request: Request, settings: Settings, given: str | None, how: str) -> None:
    """Raise unauthorized or forbidden unless a key, or where the call comes from, opens administration."""
    keys = settings.admin_keys
    if keys:
        if not _is_one_of(keys, given):
            raise ApiError(ErrorCode.UNAUTHORIZED, f"A key of HAMLET_ADMIN_KEYS is needed: {how}.")
    elif not is_local(request):
        raise ApiError(
            ErrorCode.FORBIDDEN,
            "Without HAMLET_ADMIN_KEYS this is answered to calls from the machine itself only; "
            "set it, and send one of its keys.",
        )


def open_doors(settings: Settings) -> str | None:
    """Return what can be done without a key, as one sentence for the log; None when nothing can."""
    doors = []
    if not settings.api_keys:
        doors.append("HAMLET_API_KEYS is not set: scoring is open to everybody who can reach this address")
    if not settings.admin_keys:
        doors.append("HAMLET_ADMIN_KEYS is not set: admin calls are refused except from this machine")
    return "; ".join(doors) or None


def is_local(request: Request) -> bool:
    """Return whether a request was made on this machine, by something else than a foreign page in a browser.

    A proxy on this machine calls from loopback for everybody, so what has passed one does not count. A page that
    made its name resolve to 127.0.0.1 calls from loopback too, but with its own name as the host. No browser leaves
    the host out; HTTP/1.0 clients such as rspamc do.
    """
    if request.client is None or not _is_loopback(request.client.host):
        return False
    headers = request.headers
    if any(name in headers for name in ("forwarded", "via", "x-forwarded-for", "x-real-ip")):
        return False
    host, origin = headers.get("host"), headers.get("origin")
    if host is not None and not _is_loopback(_host(f"//{host}")):
        return False
    return origin is None or _is_loopback(_host(origin))


def _password(request: Request, credentials: HTTPAuthorizationCredentials | None) -> str | None:
    if credentials:
        return credentials.credentials
    return request.headers.get("password") or request.query_params.get("password")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_one_of(keys: Sequence[SecretStr], given: str | None) -> bool:
    digest = _digest(given or "")
    # Digests have one length, and every key is compared: the time says nothing about how close the guess was.
    matches = [hmac.compare_digest(digest, _digest(key.get_secret_value())) for key in keys]
    return given is not None and any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
