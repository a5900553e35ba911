"""Users in Redis for a minute. A cache that is away costs time, never an answer."""

import json
import logging
from typing import Any

import redis

log = logging.getLogger(__name__)
ANSWER_SECONDS = 0.5


class Cache:
    """Key `user:<id>`; users never change, so nothing is ever invalidated."""

    def __init__(self, url: str, seconds: int) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
        self._seconds = seconds

    def get(self, user_id: int) -> dict[str, Any] | None:
        try:
            text = self._redis.get(f"user:{user_id}")
        except redis.RedisError as error:
            log.warning("cache not read: %s", error)
            return None
        return json.loads(text) if text else None

    def put(self, user: dict[str, Any]) -> None:
        try:
            self._redis.setex(f"user:{user['id']}", self._seconds, json.dumps(user))
        except redis.RedisError as error:
            log.warning("cache not written: %s", error)
