#!/usr/bin/env python3
"""Runs the commands of the runbooks that need no cluster against a running stack; a scratch one, since they act.

    eval "$(make -s env)"; PROMETHEUS_URL=http://127.0.0.1:9090 scripts/check/live_runbooks.py

Run are: `syncctl`, `curl` to the API and to Prometheus, and every SQL block. Those with a placeholder (ID, NAME, ...) and
those for kubectl are counted. Exit code 1 when one fails.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs/runbooks"
PLACEHOLDER = re.compile(r"\b(ID|NAME|REASON|TRACE_ID)\b|\.\.\.")
# AOs of the pages, and one of the demo drive
NAMES = {"ao-2503": "ao-2501", "ao-test": "ao-2501"}
# Would wait for a person, or belongs to another role.
OTHER_ROLE = re.compile(r"TRUNCATE|pg_terminate_backend")
LIMIT_SECONDS = 120


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(text):
    for block in blocks(text, "sh"):
        yield from (line.strip() for line in block.splitlines())
    yield from re.findall(r"`(syncctl [^`]+)`", text)


def run(command, stdin=None):
    done = subprocess.run(["bash", "-c", command], input=stdin, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    return done.returncode, (done.stdout + done.stderr).strip()[-300:]


def main():
    ran, cluster, placeholders, failed, seen = 0, 0, 0, [], set()
    for path in sorted(RUNBOOKS.glob("*.md")):
        text = path.read_text()
        for line in commands(text):
            if line in seen or not line:
                continue
            seen.add(line)
            if line.startswith("kubectl"):
                cluster += 1
            elif not line.startswith("syncctl") and not re.match(r"curl .*\$(API|PROMETHEUS)_URL", line):
                continue
            elif PLACEHOLDER.search(line):
                placeholders += 1
            elif "PROMETHEUS_URL" in line and "PROMETHEUS_URL" not in os.environ:
                cluster += 1
            else:
                for old, new in NAMES.items():
                    line = line.replace(old, new)
                code, words = run(re.sub(r"^curl ", "curl --fail-with-body ", line))
                ran += 1
                if code:
                    failed.append(f"{path.name}: {line}: exit code {code}: {words}")
        for block in blocks(text, "sql"):
            if OTHER_ROLE.search(block):
                cluster += 1
                continue
            code, words = run('psql "$DATABASE_URL" -X -q -v ON_ERROR_STOP=1', block)
            ran += 1
            if code:
                failed.append(f"{path.name}: {block.strip()}: {words}")
    print(f"{ran} commands and statements run, {cluster} need a cluster or another role, {placeholders} have placeholders, {len(failed)} failed")
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
