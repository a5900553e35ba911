#!/usr/bin/env python3
"""Buy something: create a user and an order through the gateway, wait until the order is paid.

    python3 examples/shop/try.py [http://localhost]

Exit code 0 when the order is paid, 1 when a service answers wrongly or it takes longer than a minute.
Needs nothing but Python 3.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

LIMIT_SECONDS = 60.0
PAUSE_SECONDS = 0.2
NOT_YET = (404, 502, 503, 504)  # the gateway or a service is still starting


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON answer to a GET, or to a POST of `body`."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        result: dict[str, Any] = json.load(answer)
        return result


def insist(url: str, body: dict[str, Any] | None, deadline: float) -> dict[str, Any]:
    """`call` until it works or the time is over; an answer that will not change ends it."""
    while True:
        try:
            return call(url, body)
        except urllib.error.HTTPError as error:
            if error.code not in NOT_YET or time.monotonic() > deadline:
                raise SystemExit(f"{url} answered {error.code}: {error.read(300).decode(errors='replace')}") from error
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{url}: {error}") from error
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    base = (sys.argv[1] if len(sys.argv) > 1 else "http://localhost").rstrip("/")
    deadline = time.monotonic() + LIMIT_SECONDS
    email = f"ada.{time.time_ns()}@example.org"
    user = insist(f"{base}/users", {"name": "Ada", "email": email}, deadline)
    print(f"user {user['id']}: {user['name']} <{user['email']}>")
    order = insist(f"{base}/orders", {"user_id": user["id"], "item": "a wherry", "amount_cents": 125000}, deadline)
    print(f"order {order['id']}: {order['item']}, {order['status']}")
    ordered_at = time.monotonic()
    while order["status"] != "paid":
        if time.monotonic() > deadline:
            raise SystemExit(f"order {order['id']} is still {order['status']} after {LIMIT_SECONDS:.0f} s")
        time.sleep(PAUSE_SECONDS / 4)
        order = insist(f"{base}/orders/{order['id']}", None, deadline)
    print(f"order {order['id']}: paid after {time.monotonic() - ordered_at:.2f} s")
    payment = insist(f"{base}/payments/{order['id']}", None, deadline)
    print(f"payment {payment['id']}: {payment['amount_cents'] / 100:.2f}")


if __name__ == "__main__":
    main()
