"""Dispatcher: files confirmed cases with a city platform. Protocol, kinds and the two ways of failing."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, cast

from api.types import DispatchJob, Receipt
from detector.errors import WrongUse

KINDS: Final = MappingProxyType(
    {
        "sandbox": "api.dispatch.webhook:WebhookDispatcher",
        "webhook": "api.dispatch.webhook:WebhookDispatcher",
    }
)
"""`sandbox` is the webhook, pointed at the receiver of `api.dispatch.sandbox`."""


class DeliveryError(Exception):
    """It did not work this time: the target refused the connection, hung, or answered what is no receipt."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RefusedError(DeliveryError):
    """The target understood and will never take it: sending again is of no use."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send.

    Args:
        url: receives the POST. secret: `whsec_…`, shared with the receiver.
        public_url: this server as the receiver sees it, put before the paths of evidence.
        timeout_s: for one attempt as a whole, however slowly the target answers.
        local: the target runs on this machine; proxies are passed by.
    """

    url: str
    secret: str
    public_url: str = ""
    source: str = "/kerbwatch"
    timeout_s: float = 10.0
    local: bool = False


class Dispatcher(Protocol):
    """Sends one case, again if asked: the idempotency key tells the receiver that it is the same."""

    async def send(self, job: DispatchJob) -> Receipt:
        """Send and give the platform's receipt.

        Raises:
            RefusedError: never again. DeliveryError: later again.
        """

    async def close(self) -> None:
        """Close connections."""


def open_dispatcher(kind: str, target: Target) -> Dispatcher:
    """Make a dispatcher.

    Raises:
        WrongUse: no such kind, or a target that cannot be one.
    """
    if kind not in KINDS:
        raise WrongUse(f"there is no dispatcher {kind!r}; there are {', '.join(sorted(KINDS))}.")
    module, _, name = KINDS[kind].partition(":")
    return cast("Dispatcher", getattr(importlib.import_module(module), name)(target))
