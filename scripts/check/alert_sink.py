#!/usr/bin/env python3
"""Stands in for PagerDuty (Events v2), Slack and an SMTP server; writes what arrives as JSON lines.

    scripts/check/alert_sink.py HTTP_PORT SMTP_PORT FILE
"""

import email
import http.server
import json
import socketserver
import sys
import threading

LOCK = threading.Lock()


def record(path, **what):
    with LOCK, open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


class Http(http.server.BaseHTTPRequestHandler):
    """`/v2/enqueue` of PagerDuty, `/slack`, `/deadman`."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/v2/enqueue":
            if not body.get("routing_key") or len(body.get("payload", {}).get("summary", "")) > 1024:
                self.answer(400, {"status": "invalid event"})
                return
            record(self.server.file, channel="pagerduty", action=body["event_action"], key=body["dedup_key"],
                   severity=body.get("payload", {}).get("severity"), summary=body.get("payload", {}).get("summary"),
                   runbook=body.get("payload", {}).get("custom_details", {}).get("runbook"))
            self.answer(202, {"status": "success", "dedup_key": body["dedup_key"]})
        elif self.path == "/slack":
            for attachment in body["attachments"]:
                record(self.server.file, channel="slack", to=body.get("channel"), summary=attachment.get("title"),
                       runbook=attachment.get("title_link"))
            self.answer(200, "ok")
        else:
            record(self.server.file, channel=self.path.strip("/"))
            self.answer(200, {})

    def answer(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Silent: what arrives is in the file."""


class Smtp(socketserver.StreamRequestHandler):
    """Enough of SMTP for one client that means well."""

    def handle(self):
        self.say("220 sink")
        recipients = []
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            if verb == "RCPT":
                recipients.append(line.split("<")[1].split(">")[0])
            if verb == "DATA":
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(part[1:] if part.startswith(b"..") else part)
                message = email.message_from_bytes(b"".join(lines))
                subject = str(email.header.make_header(email.header.decode_header(message["Subject"] or "")))
                text = "".join(
                    (part.get_payload(decode=True) or b"").decode() for part in message.walk() if not part.is_multipart())
                runbook = next((w.split()[-1] for w in text.splitlines() if w.startswith("Runbook:")), None)
                record(self.server.file, channel="email", to=recipients, summary=subject, runbook=runbook)
            self.say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


def main():
    http_port, smtp_port, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    smtp = socketserver.ThreadingTCPServer(("127.0.0.1", smtp_port), Smtp)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", http_port), Http)
    smtp.file = web.file = path
    threading.Thread(target=smtp.serve_forever, daemon=True).start()
    web.serve_forever()


if __name__ == "__main__":
    main()
