"""The smallest application worth deploying: it says hello, and where it runs."""

import os
import socket

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    return f"{os.environ.get('GREETING', 'hello')} from {socket.gethostname()}\n"
