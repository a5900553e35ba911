"""The users service: POST /users, GET /users, GET /users/ID over PostgreSQL, with a Redis cache in front of reads.

`/healthz` says that the process is alive, `/readyz` that it can reach its database. `app` is the WSGI application.
"""

import atexit
import logging
import re

import psycopg
from flask import Flask, Response, jsonify, request
from psycopg_pool import PoolTimeout

import settings
from cache import Cache
from database import Users

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
BODY_BYTES_MAX = 64 << 10
LIST_MAX = 100

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
# The pool tells of every attempt while the database is away; one line of ours per request is enough.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
users = Users(settings.DATABASE_URL, settings.DATABASE_CONNECTIONS_MAX)
users.open()
atexit.register(users.close)
cache = Cache(settings.REDIS_URL, settings.CACHE_SECONDS)


@app.get("/healthz")
def healthz() -> str:
    return "ok\n"


@app.get("/readyz")
def readyz() -> str:
    users.check()
    return "ok\n"


@app.post("/users")
def create() -> tuple[Response, int] | tuple[Response, int, dict[str, str]]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return refuse(400, "body: a JSON object with name and email is needed")
    name, email = body.get("name"), body.get("email")
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        return refuse(400, "name: 1 to 200 characters are needed")
    if not isinstance(email, str) or len(email) > 320 or not EMAIL.fullmatch(email):
        return refuse(400, "email: an address such as ada@example.org is needed")
    try:
        user = users.create(name, email)
    except psycopg.errors.UniqueViolation:
        return refuse(409, f"email: {email!r} is taken")
    cache.put(user)
    return jsonify(user), 201, {"Location": f"/users/{user['id']}"}


@app.get("/users")
def newest() -> Response:
    return jsonify(users.newest(LIST_MAX))


@app.get("/users/<int:user_id>")
def read(user_id: int) -> Response | tuple[Response, int]:
    if user_id >= 2**63:
        return refuse(404, f"user {user_id} does not exist")
    if (cached := cache.get(user_id)) is not None:
        answer = jsonify(cached)
        answer.headers["X-Cache"] = "hit"
        return answer
    user = users.find(user_id)
    if user is None:
        return refuse(404, f"user {user_id} does not exist")
    cache.put(user)
    return jsonify(user)


@app.errorhandler(psycopg.OperationalError)
@app.errorhandler(PoolTimeout)
def database_away(error: Exception) -> tuple[Response, int]:
    app.logger.warning("database away: %s", error)
    return refuse(503, "the database does not answer; try again")


def refuse(code: int, message: str) -> tuple[Response, int]:
    return jsonify({"error": message}), code
