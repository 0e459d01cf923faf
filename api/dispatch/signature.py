"""Standard Webhooks: sign what we send, verify what we are sent.

Source: https://www.standardwebhooks.com (specification 1.0). Headers webhook-id, webhook-timestamp and
webhook-signature; HMAC-SHA256 over `id.timestamp.body`; more than five minutes of skew is refused.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from detector.errors import WrongUse

PREFIX: Final = "whsec_"
KEY_BYTES_MIN: Final = 16


class SignatureError(Exception):
    """A message that the holder of the secret did not sign, or not just now."""


def new_secret() -> str:
    """Give a fresh secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_secret(secret: str) -> str:
    """Give the secret back when it can be used.

    Raises:
        WrongUse: it is not `whsec_` and base64 of 16 bytes or more.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) < KEY_BYTES_MIN:
        raise WrongUse(
            f"a webhook secret is {PREFIX} followed by the base64 of {KEY_BYTES_MIN} bytes or more: "
            f"python -c 'import base64, os; print(\"{PREFIX}\" + base64.b64encode(os.urandom(32)).decode())'"
        )
    return secret


def signed(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Give the three headers for a body; `at` is aware UTC."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }


def verified_id(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Give the id of a message whose signature and time are right.

    Raises:
        SignatureError: a header is missing, the signature is wrong, or the time is more than 5 minutes off.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        raise SignatureError(str(error).lower()) from error
    except (ValueError, TypeError) as error:  # the library lets odd signatures and bodies through to these
        raise SignatureError("malformed signature or body") from error
    return next(value for name, value in headers.items() if name.lower() == "webhook-id")
