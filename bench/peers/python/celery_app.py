"""Celery as one deploys it for work that must not be lost: quorum queue, late acknowledgement, confirmed
publishing, results in PostgreSQL."""

import os

from celery import Celery
from kombu import Queue

NAME = os.environ["PEER_NAME"]

app = Celery(
    "peer",
    broker=os.environ["PEER_AMQP_URL"],
    backend="db+" + os.environ["PEER_DATABASE_URL"].replace("postgres://", "postgresql+psycopg2://", 1),
)
app.conf.update(
    task_queues=[Queue(NAME, routing_key=NAME, queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue=NAME,
    task_default_routing_key=NAME,
    task_acks_late=True,
    task_ignore_result=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=16,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
)


@app.task(name="effect")
def effect():
    """Does nothing; its result is the effect."""
