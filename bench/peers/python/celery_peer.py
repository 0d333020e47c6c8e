"""Measures Celery: enqueue, then drain by one worker of two processes per processor. The time runs from the
first result in PostgreSQL to the last, so that neither its start nor its import counts against it."""

import json
import os
import subprocess
import sys
import time

import psycopg2
from celery_app import NAME, app, effect

JOBS = int(os.environ["PEER_JOBS"])
LIMIT = 300


def results(cursor):
    """Results so far, and the seconds between the first and the last."""
    cursor.execute("SELECT to_regclass('celery_taskmeta')")
    if cursor.fetchone()[0] is None:
        return 0, 0.0
    cursor.execute(
        "SELECT count(*), extract(epoch FROM max(date_done) - min(date_done))::float8 FROM celery_taskmeta"
        " WHERE status = 'SUCCESS'"
    )
    return cursor.fetchone()


def main():
    """Prints one JSON line."""
    filling = time.monotonic()
    for _ in range(JOBS):
        effect.delay()
    filled = time.monotonic() - filling
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-Q", NAME, "-l", "ERROR",
         "--concurrency", str(2 * (os.cpu_count() or 1)), "--without-gossip", "--without-mingle",
         "--without-heartbeat"],
        stdout=subprocess.DEVNULL,
    )
    try:
        connection = psycopg2.connect(os.environ["PEER_DATABASE_URL"])
        connection.autocommit = True
        deadline = time.monotonic() + LIMIT
        count, seconds = 0, 0.0
        while count < JOBS:
            if time.monotonic() > deadline or worker.poll() is not None:
                sys.exit(f"Celery did {count} of {JOBS} jobs")
            time.sleep(0.5)
            with connection.cursor() as cursor:
                count, seconds = results(cursor)
        print(json.dumps({"drain": round((JOBS - 1) / seconds), "enqueue": round(JOBS / filled)}))
    finally:
        worker.terminate()
        worker.wait(30)
        with app.connection() as broker:
            broker.default_channel.queue_delete(NAME)


if __name__ == "__main__":
    main()
