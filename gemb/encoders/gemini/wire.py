"""The wire: the key, how fast requests go out, and what the server's errors mean."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
from google.genai import errors

from gemb.encoders import keys
from gemb.errors import UserError

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # in the order in which Google's client reads them
BASE_URL = "GOOGLE_GEMINI_BASE_URL"  # Google's client reads it too
KEY_PAGE = "https://aistudio.google.com/apikey"
MAX_WAIT = 300.0  # seconds that a server may ask to wait; beyond it the quota counts as spent

QUOTA_REMEDY = (
    "wait, raise the project's limits in the provider's console, or go slower by "
    "--requests-per-minute and --tokens-per-minute; then run it again"
)


class GeminiError(UserError):
    """What concerns every item: says what is wrong and how to mend it."""


def key() -> str:
    address = os.environ.get(BASE_URL, "")
    if urlsplit(address).username is not None:
        raise GeminiError(f"{BASE_URL} holds a user name; give the address alone")
    for name in KEYS:
        if key := keys.from_environment(name):
            keys.refuse_in_the_clear(key, name, address)
            return key
    if address:
        return "no-key"  # Google's client wants one; `gemb serve` does not
    raise GeminiError(
        f"no key: put one into the environment as {' or '.join(KEYS)} (free at {KEY_PAGE}), or "
        f"point {BASE_URL} at a server such as `gemb serve`"
    )


class Client(httpx2.AsyncClient):
    """What Google's client sends its requests by, so that each attempt of a request comes by here.

    Requests wait as long as the server has asked any of them to, which Google's client does not
    heed; a connection that is cut is tried again, as it does where none can be made; and the key
    is struck out of every refusal, before it can get into a message or a log.

    Args:
        secret: The key.
        timeout: Seconds.
        unanswered: Called in the request's task when an attempt went out and no answer came, which
            may have been paid for; if it raises, there is no further attempt.
    """

    def __init__(self, secret: str, timeout: float, unanswered: Callable[[], None]):
        super().__init__(timeout=timeout)
        self._secret, self._unanswered = secret.encode(), unanswered
        self._not_before = 0.0  # the loop's time until which the server asked to wait
        self.stopped = False  # nothing more is to go out
        self.under_way: set[asyncio.Task[Any] | None] = set()  # tasks with a request on the wire

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """One attempt.

        Raises:
            GeminiError: The quota is spent, or the limit of what may be paid is reached.
        """
        clock = asyncio.get_running_loop().time
        while (seconds := self._not_before - clock()) > 0:
            await asyncio.sleep(seconds)
        if self.stopped:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        self.under_way.add(task)
        try:
            response = await super().send(request, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            raise  # nothing went out
        except (httpx2.NetworkError, httpx2.ProtocolError) as error:
            self._unanswered()
            raise httpx2.ConnectError(f"cut off: {error}", request=request) from None
        except httpx2.TimeoutException:
            self._unanswered()
            raise
        finally:
            self.under_way.discard(task)
        if response.status_code != 200 and self._secret in response.content:
            clean = response.content.replace(self._secret, b"(key)")
            response = httpx2.Response(response.status_code, content=clean, request=request)
        if response.status_code in (429, 503):
            seconds, quota = _hint(response)
            if "PerDay" in quota or seconds > MAX_WAIT:
                raise GeminiError(
                    f"the quota is spent ({quota or f'a wait of {seconds:.0f} s is asked for'}); "
                    f"what was embedded is stored: {QUOTA_REMEDY}"
                )
            self._not_before = max(self._not_before, clock() + seconds)
        return response


def _hint(response: httpx2.Response) -> tuple[float, str]:
    """How many seconds the server asks to wait (0 if it does not say), and which quota is spent."""
    seconds, quota = 0.0, ""
    with suppress(ValueError):  # a date: Google's servers send none
        seconds = float(response.headers.get("retry-after", 0))
    # no hint, or not in Google's form
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        for detail in response.json()["error"]["details"]:
            kind = detail.get("@type", "")
            if kind.endswith("RetryInfo"):
                seconds = max(seconds, float(detail["retryDelay"].removesuffix("s")))
            elif kind.endswith("QuotaFailure"):
                quota = ", ".join(v.get("quotaId", "") for v in detail.get("violations", []))
    return seconds, quota


def remedy(error: errors.APIError, model: str) -> str:
    """What to do about an error that every item would meet; empty if a smaller batch may not."""
    said = (error.message or "").lower()
    if error.code in (401, 403) or (error.code == 400 and "api key" in said):
        return f"check the key in {' or '.join(KEYS)}; keys are made at {KEY_PAGE}"
    if error.code == 400 and "dimensionality" in said:
        return "ask for another dimension by gemini:<model>:<dimension>"
    if error.code == 404:
        return f"is there a model {model}? Another is chosen by gemini:<model>"
    if error.code == 429:
        return f"what was embedded is stored: {QUOTA_REMEDY}"
    if error.status == "FAILED_PRECONDITION":
        return (
            "what was embedded is stored. The API does not serve this place without billing, or "
            f"not at all: see {KEY_PAGE}"
        )
    if error.code in (400, 413, 500):
        return ""
    return "what was embedded is stored: run it again later"
