"""HTTP to a controller, within bounds: one machine, so many bytes, so much time, and no order sent twice.

A controller is a stranger on a network of its own, often with old firmware. It is not followed to another machine, no
proxy or ``.netrc`` of ours has a say, and a request that is not a question is never repeated.
"""

from __future__ import annotations

import io
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from sushy import auth, connector
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util.ssl_ import create_urllib3_context

from ballastd.adapters.tls import settled

BODY_BYTES_MAX = 1 << 20
CONNECT_SECONDS = 10.0
REDIRECTS_MAX = 3
TRIES = 3
PAUSE_SECONDS = 1.0
TLS_NOT_AS_SET = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "X509", "PEM")


class Unusable(requests.RequestException):
    """It answered with what we do not take; nothing was done."""


class Unanswered(requests.RequestException):
    """It may have taken the request; that is not to be tried again."""


SILENCE = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, Unanswered)


def reason(error: BaseException) -> str:
    """Return what is at the bottom of an error, which its wrappers bury in the names of their objects."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return str(error) or type(error).__name__


class BoundedAdapter(HTTPAdapter):
    """Reads a whole answer at once, up to a bound, and never unpacks one: a packed answer can be a bomb. ``is_checked``:
    whether the controller's certificate has to be believed."""

    def __init__(self, is_checked: bool) -> None:
        self._is_checked = is_checked
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have everything sent by a context that is the same with any Python."""
        required = ssl.CERT_REQUIRED if self._is_checked else ssl.CERT_NONE
        super().init_poolmanager(*args, **kwargs, ssl_context=settled(create_urllib3_context(cert_reqs=required)))

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the answer with its body read."""
        try:
            body: bytes = resp.read(BODY_BYTES_MAX + 1, decode_content=False)
        except HTTPError as error:
            raise requests.ConnectionError(error, request=req) from error
        finally:
            resp.close()
        if len(body) > BODY_BYTES_MAX and req.method == "GET":
            raise Unusable(f"its answer to {req.url} is larger than {BODY_BYTES_MAX >> 20} MiB", request=req)
        headers = {name: value for name, value in resp.headers.items() if name.lower() != "content-encoding"}
        return super().build_response(req, HTTPResponse(io.BytesIO(body), headers, resp.status, reason=resp.reason,
                                                        preload_content=False))


class BoundedSession(requests.Session):
    """``until``: when, on the monotonic clock, there is no time left for anything."""

    def __init__(self, url: str, is_checked: bool) -> None:
        super().__init__()
        self.until = 0.0
        self.trust_env = False
        self.max_redirects = REDIRECTS_MAX
        self._home = _origin(url)
        for scheme in ("https://", "http://"):
            self.mount(scheme, BoundedAdapter(is_checked))

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Ask; follow it to another place on the same machine, but only with a question."""
        kwargs["allow_redirects"] = method == "GET"
        answer = super().request(method, url, *args, **kwargs)
        if 300 <= answer.status_code < 400:
            raise Unusable(f"{method} {url} is sent on to {answer.headers.get('Location', 'nowhere')}")
        return answer

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send one request, with what time is left."""
        if _origin(request.url or "") != self._home:
            raise Unusable(f"it names another machine, {request.url}, to which nothing is sent")
        left = self.until - time.monotonic()
        if left <= 0:
            raise Unanswered("no time is left")
        kwargs["timeout"] = (min(left, CONNECT_SECONDS), left)
        try:
            return super().send(request, **kwargs)
        except requests.exceptions.SSLError as error:
            why = reason(error)
            raise (Unusable if any(mark in why for mark in TLS_NOT_AS_SET) else Unanswered)(why) from error
        except SILENCE as error:
            if request.method == "GET" and self.until - time.monotonic() > PAUSE_SECONDS:
                raise  # sushy asks again
            raise Unanswered(reason(error)) from error


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise Unusable(f"it names no address: {error}") from error


class Connector(connector.Connector):  # type: ignore[misc]  # sushy has no types
    """sushy's connector on a bounded session."""

    def __init__(self, url: str, verify: bool | str) -> None:
        super().__init__(url, verify=verify, server_side_retries=TRIES, server_side_retries_delay=PAUSE_SECONDS)
        self.bounded = BoundedSession(url, verify is not False)
        self.bounded.headers["Connection"] = "close"  # as sushy does it: some controllers choke on long connections
        self._session: requests.Session = self.bounded


class SessionOrBasic(auth.SessionOrBasicAuth):  # type: ignore[misc]
    """A session where the controller has them, name and password with each request where it has none."""

    def close(self) -> None:
        """Do nothing: sushy calls it from a destructor, where nobody may wait for a network."""

    def leave(self) -> None:
        """End the session, if there is one."""
        super().close()


class Anonymous(auth.AuthBase):  # type: ignore[misc]
    """No name and no password: a laboratory."""

    def _do_authenticate(self) -> None:
        pass

    def can_refresh_session(self) -> bool:
        """Return False: there is none."""
        return False

    def leave(self) -> None:
        """There is nothing to end."""
