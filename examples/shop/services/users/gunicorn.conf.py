"""One process with threads: the work is waiting for the database. Ends requests in flight on SIGTERM."""

import os

workers = 1
threads = int(os.environ.get("THREADS", "8"))
graceful_timeout = 20
keepalive = 75
accesslog = None
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
