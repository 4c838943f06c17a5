"""The whole line once on a made-up CRM, each step as the command that anyone would type, and what it answered."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from serving.present import Names, show_answer

#: The service compiles nothing and asks nobody, so that a minute is long even on a busy machine.
READY_SECONDS = 90
STOP_SECONDS = 20


class StepFailed(Exception):
    """A step that should have worked did not; `code` is what it ended with."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code


@dataclass(frozen=True)
class Demo:
    """Where the demo works and how large its CRM is. Everything lies under `folder`, which it makes anew."""

    folder: Path
    accounts: int = 2_000
    reps: int = 60
    offers: int = 12_000
    seed: int = 0

    @property
    def crm(self) -> Path:
        return self.folder / "crm"

    @property
    def common(self) -> list[str]:
        """The options that name the demo's own data, configuration and home."""
        return ["--data", str(self.crm), "--config", str(self.crm / "callsheet.yaml"), "--home", str(self.folder)]

    def run(self, screen: Console) -> int:
        """Run every step; 0 when the line works from end to end, else what the failing step ended with."""
        started = time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            released = self._learn(screen)
            self._ask(screen)
        except StepFailed as failed:
            screen.print(Text(f"\nThe step above failed (exit {failed.code}); the demo stops here.", style="bold red"))
            return failed.code
        self._next(screen, released, time.monotonic() - started)
        return 0

    def _learn(self, screen: Console) -> bool:
        """From nothing to a judged model; True when the gate released it."""
        size = ["--accounts", self.accounts, "--reps", self.reps, "--offers", self.offers, "--seed", self.seed]
        self._step(screen, "A made-up CRM, whose truth we know", "sample", str(self.crm), *map(str, size))
        self._step(screen, "Are its tables sound?", "check", *self.common)
        self._step(screen, "Whom does the served market let in?", "audit", *self.common)
        self._step(screen, "Learn from past offers, against baselines", "train", *self.common, "--recipe", "fast")
        code = self._step(screen, "Has it earned its place?", "promote", *self.common[2:], may_refuse=True)
        if code:
            screen.print(Text("\nThe gate refused the model, so the rules serve below.", style="bold yellow"))
        return code == 0

    def _step(self, screen: Console, why: str, *args: str, may_refuse: bool = False) -> int:
        """Show the command, run it with its output as it comes, and answer what it ended with."""
        _heading(screen, why, "$ " + shlex.join(["callsheet", *args]))
        code = subprocess.run(_command(*args), check=False).returncode
        if code and not (may_refuse and code == 1):
            raise StepFailed(code)
        return code

    def _ask(self, screen: Console) -> None:
        """Put the CRM on record, ask the service as a routing system would, and commit an offer."""
        from features.config import load_config
        from features.snapshot import read_snapshot

        self._step(screen, "Put the CRM on record", "load", *self.common)
        snapshot = read_snapshot(str(self.crm), config=load_config(self.crm / "callsheet.yaml"))
        names = Names.of(snapshot.tables)
        with self._service(screen) as url:
            sheet: dict[str, Any] = {"items": []}
            for rep in sorted(names.reps):
                sheet = _post(url, "recommend_leads", {"rep_id": rep, "k": 5, "reasons": True})
                if sheet["items"]:
                    break
            asked = {"rep_id": sheet.get("rep_id"), "k": 5, "reasons": True}
            _heading(screen, "What should this rep do now?", f"POST /recommend_leads {json.dumps(asked)}")
            show_answer(sheet, names, screen)
            free = [item["lead_id"] for item in sheet["items"] if item["offer_id"] is None]
            made = self._commit(screen, url, free[0] if free else min(names.leads), names)
        if made["decision_id"]:
            self._step(screen, "Why, a week or a year later?", "explain", made["decision_id"], *self.common[2:])

    def _commit(self, screen: Console, url: str, lead_id: str, names: Names) -> dict[str, Any]:
        """Offer a lead to its best rep, and report that he takes it."""
        asked = {"lead_id": lead_id, "k": 5, "reasons": True, "commit": True}
        _heading(screen, "Who should get this lead? Offer it", f"POST /recommend_reps {json.dumps(asked)}")
        made = _post(url, "recommend_reps", asked, key="demo-offer")
        show_answer(made, names, screen)
        offered = [item["offer_id"] for item in made["items"] if item["offer_id"]]
        if offered:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            event = {"event_id": "demo-1", "offer_id": offered[0], "kind": "accepted", "at": now}
            _heading(screen, "The rep takes it", f"POST /record {json.dumps({'events': [event]})}")
            told = _post(url, "record", {"events": [event]}, key="demo-answer")
            screen.print(Text(f"{event['event_id']}: {told['results'][0]['result']}"))
        return made

    @contextmanager
    def _service(self, screen: Console) -> Iterator[str]:
        """The service on a free port of loopback, ready; stopped by its process id on the way out."""
        port = _free_port()
        args = ["serve", *self.common[2:], "--host", "127.0.0.1", "--port", str(port)]
        _heading(screen, "Serve it", "$ " + shlex.join(["callsheet", *args]))
        log = self.folder / "serve.log"
        with log.open("wb") as out:
            service = subprocess.Popen(_command(*args), stdout=out, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{port}"
        try:
            if not _ready(url, service):
                screen.print(Text(f"The service did not get ready; its log is {log}."))
                raise StepFailed(service.poll() or 3)
            screen.print(Text(f"Ready on {url}."))
            yield url
        finally:
            _stop(service)
            screen.print(Text("The service has stopped.", style="dim"))

    def _next(self, screen: Console, released: bool, seconds: float) -> None:
        where = shlex.join(self.common[2:])
        home = shlex.join(self.common[4:])
        screen.print(Text(f"\nThat was the whole line, in {seconds:.0f} s. What to do next", style="bold"))
        for what, command in (
            ("read what the training found, as one page", f"callsheet report {home}"),
            ("look at the runs as an analyst would", f"callsheet ui {home}"),
            ("serve it again and ask from elsewhere", f"callsheet serve {where}"),
            ("give the week's open leads to the reps", f"callsheet plan {where}"),
            ("what serves now" if released else "why the rules serve", f"callsheet models {home}"),
            ("begin with your own CRM", "callsheet init --data DIR   # then check, audit, train, promote, serve"),
        ):
            screen.print(Text.assemble(f"  {what}\n    ", (command, "cyan")))
        screen.print(Text(f"Everything it wrote lies in {self.folder}; the commands are in .venv/bin.", style="dim"))


def _heading(screen: Console, why: str, typed: str) -> None:
    screen.print(Text.assemble("\n", (why, "bold"), "\n", (typed, "cyan")))


def _command(*args: str) -> list[str]:
    return [sys.executable, "-m", "callsheet", *args]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(url: str, service: subprocess.Popen[bytes]) -> bool:
    """Wait until the service says that it is ready; False when it ended or took too long."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and service.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - ours
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    return False


def _post(url: str, route: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Ask a route; what is written takes a key, by which a retry gets the same answer."""
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    request = urllib.request.Request(f"{url}/{route}", data=json.dumps(body).encode(), headers=headers)  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - ours
        read: dict[str, Any] = json.loads(answer.read())
        return read


def _stop(service: subprocess.Popen[bytes]) -> None:
    """End the service as an operator would; it drains and stops its workers. Only a deaf one is killed."""
    if service.poll() is None:
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
