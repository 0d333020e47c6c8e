"""Runs the published client, as published, against the emulator. The exit code is the verdict."""

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

BASE = os.environ["EMULATOR_GOOGLE"]
CALENDAR = "primary"

credentials = Credentials(
    token=None,
    refresh_token=os.environ["GOOGLE_REFRESH_TOKEN"],
    token_uri=f"{BASE}/token",
    client_id=os.environ["GOOGLE_CLIENT_ID"],
    client_secret=os.environ["GOOGLE_CLIENT_SECRET"],
)
service = build(
    "calendar", "v3", credentials=credentials, client_options={"api_endpoint": f"{BASE}/calendar/v3/"}
)
events = service.events()
messages = Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802, the name is the library's
        messages.put(dict(self.headers))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()


def hour(day, start):
    def at(minute):
        return {"dateTime": f"2026-11-{day}T{start}:{minute}:00+01:00", "timeZone": "Europe/Paris"}

    return {"start": at("00"), "end": at("30")}


def status(request):
    try:
        request.execute()
    except HttpError as error:
        return error.status_code
    return 200


def sync(**parameters):
    items = []
    request = events.list(calendarId=CALENDAR, maxResults=3, **parameters)
    while request is not None:
        page = request.execute()
        items.extend(page["items"])
        token = page.get("nextSyncToken")
        request = events.list_next(request, page)
    return items, token


def refresh():
    credentials.refresh(Request())
    assert credentials.valid and credentials.token.startswith("ya29.")


def insert_with_id():
    for number in range(8):
        body = {"id": f"client{number}", "summary": f"Event {number}", **hour("25", "09")}
        assert events.insert(calendarId=CALENDAR, body=body).execute()["id"] == f"client{number}"
    assert status(events.insert(calendarId=CALENDAR, body={"id": "client1", **hour("25", "09")})) == 409


def full_sync():
    items, token = sync()
    assert {item["id"] for item in items} == {f"client{number}" for number in range(8)}
    state["token"] = token


def patch_with_if_match():
    event = events.get(calendarId=CALENDAR, eventId="client1").execute()

    def patch(summary):
        request = events.patch(calendarId=CALENDAR, eventId="client1", body={"summary": summary})
        request.headers["If-Match"] = event["etag"]
        return request

    assert patch("Changed").execute()["summary"] == "Changed"
    assert status(patch("Again")) == 412


def delta():
    events.delete(calendarId=CALENDAR, eventId="client2").execute()
    items, token = sync(syncToken=state["token"])
    assert sorted(item["id"] for item in items) == ["client1", "client2"]
    assert next(item for item in items if item["id"] == "client2")["status"] == "cancelled"
    assert sync(syncToken=token)[0] == []
    assert status(events.list(calendarId=CALENDAR, syncToken="nonsense")) == 400


def instances():
    body = {"id": "series1", "summary": "Weekly", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"], **hour("26", "14")}
    events.insert(calendarId=CALENDAR, body=body).execute()
    found = events.instances(calendarId=CALENDAR, eventId="series1").execute()["items"]
    assert len(found) == 3 and re.fullmatch(r"series1_\d{8}T\d{6}Z", found[1]["id"])
    events.patch(calendarId=CALENDAR, eventId=found[1]["id"], body={"location": "Elsewhere"}).execute()
    events.delete(calendarId=CALENDAR, eventId=found[2]["id"]).execute()
    left = events.instances(calendarId=CALENDAR, eventId="series1").execute()["items"]
    assert [item.get("location") for item in left] == [None, "Elsewhere"]


def watch():
    address = f"http://127.0.0.1:{receiver.server_port}/hook"
    body = {"id": "py-channel", "type": "web_hook", "address": address, "token": "t"}
    channel = events.watch(calendarId=CALENDAR, body=body).execute()
    assert messages.get(timeout=10)["x-goog-resource-state"] == "sync"
    events.patch(calendarId=CALENDAR, eventId="client3", body={"summary": "Ring"}).execute()
    assert messages.get(timeout=10)["x-goog-resource-state"] == "exists"
    stop = {"id": channel["id"], "resourceId": channel["resourceId"]}
    service.channels().stop(body=stop).execute()


def batch():
    answers = {}
    request = BatchHttpRequest(
        callback=lambda number, answer, error: answers.update({number: error.status_code if error else answer["id"]}),
        batch_uri=f"{BASE}/batch/calendar/v3",
    )
    request.add(events.get(calendarId=CALENDAR, eventId="client1"), request_id="one")
    request.add(events.patch(calendarId=CALENDAR, eventId="client4", body={"summary": "Batch"}), request_id="two")
    request.add(events.get(calendarId=CALENDAR, eventId="none1"), request_id="three")
    request.execute(http=service._http)
    assert answers == {"one": "client1", "two": "client4", "three": 404}, answers


state = {}
steps = [refresh, insert_with_id, full_sync, patch_with_if_match, delta, instances, watch, batch]
for step in steps:
    step()
    print(f"ok: {step.__name__}")
receiver.shutdown()
