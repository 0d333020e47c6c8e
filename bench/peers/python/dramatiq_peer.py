"""Measures Dramatiq on RabbitMQ (durable classic queue, confirmed publishing, no results): one worker process
per processor with eight threads each, as its command line starts them. The time runs from the first job to the
last."""

import json
import multiprocessing
import os
import sys
import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

NAME = os.environ["PEER_NAME"]
JOBS = int(os.environ["PEER_JOBS"])
LIMIT = 300

SEEN = multiprocessing.Value("q", 0)
FIRST = multiprocessing.Value("d", 0.0)
LAST = multiprocessing.Value("d", 0.0)

broker = RabbitmqBroker(url=os.environ["PEER_AMQP_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=NAME)
def effect():
    """Does nothing but be counted."""
    with SEEN.get_lock():
        SEEN.value += 1
        if SEEN.value == 1:
            FIRST.value = time.monotonic()
        if SEEN.value == JOBS:
            LAST.value = time.monotonic()


def work():
    """A worker process."""
    worker = dramatiq.Worker(broker, worker_threads=8)
    worker.start()
    while True:
        time.sleep(1)


def main():
    """Prints one JSON line."""
    filling = time.monotonic()
    for _ in range(JOBS):
        effect.send()
    filled = time.monotonic() - filling
    broker.close()
    workers = [multiprocessing.Process(target=work, daemon=True) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + LIMIT
    while LAST.value == 0.0:
        if time.monotonic() > deadline:
            sys.exit(f"Dramatiq did {SEEN.value} of {JOBS} jobs")
        time.sleep(0.05)
    print(json.dumps({"drain": round((JOBS - 1) / (LAST.value - FIRST.value)), "enqueue": round(JOBS / filled)}))
    for worker in workers:
        worker.kill()


if __name__ == "__main__":
    main()
