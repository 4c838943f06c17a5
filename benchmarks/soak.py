"""A service under mixed load for a while: whether its memory, its open files and its answers stay as they were.

`SOAK_MINUTES=60 python -m benchmarks.soak` (10 without it) prints a line a minute, and at the end the slope of each
worker's resident memory over the second half. SOAK_PAUSE: seconds that a caller rests after each request, 0 without it.
Ends with 1 where an answer failed.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.standing_service import Standing, standing

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
PAUSE = float(os.environ.get("SOAK_PAUSE", "0"))
CALLERS = 3
#: Seconds between two looks at the memory.
LOOK = 5.0


@dataclass
class Caller:
    """Asks, commits, answers what it was offered and tells of new touches, at random; what came of it by status."""

    service: Standing
    name: int
    stop: threading.Event
    said: Counter[tuple[str, int]] = field(default_factory=Counter)

    def run(self) -> None:
        """Until told to stop."""
        rng, service = random.Random(self.name), self.service
        headers = {"authorization": f"Bearer {service.keys[f'caller{self.name}']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=60) as client:
            for number in itertools.count():
                if self.stop.is_set():
                    return
                key = f"soak-{self.name}-{number}"
                draw = rng.random()
                if draw < 0.4:
                    self._post(client, "/recommend_reps", {"lead_id": rng.choice(service.leads), "reasons": True}, key)
                elif draw < 0.6:
                    pairs = [{"lead_id": rng.choice(service.leads), "rep_id": rng.choice(service.reps)}] * 20
                    self._post(client, "/score", {"pairs": pairs}, key)
                elif draw < 0.8:
                    body = {"lead_id": rng.choice(service.leads), "k": 1, "commit": True}
                    self._answer(client, self._post(client, "/recommend_reps", body, key), key)
                elif draw < 0.9:
                    self._post(client, "/recommend_leads", {"rep_id": rng.choice(service.reps), "k": 5}, key)
                else:
                    at = datetime.now(UTC).isoformat()
                    row = {"time_off_id": key, "rep_id": rng.choice(service.reps), "starts_at": at, "ends_at": at}
                    self._post(client, "/ingest", {"tables": {"time_off": [row]}}, key)

    def _answer(self, client: httpx.Client, said: Any, key: str) -> None:
        """Reject what was offered, so that there is something to offer again."""
        for item in said.get("items", ()):
            if item["offer_id"]:
                event = {"event_id": key, "offer_id": item["offer_id"], "kind": "rejected", "reason": "no_capacity"}
                at = datetime.now(UTC).isoformat()
                self._post(client, "/record", {"events": [event | {"at": at}]}, f"{key}-no")

    def _post(self, client: httpx.Client, path: str, body: Any, key: str) -> Any:
        answer = client.post(path, json=body, headers={"Idempotency-Key": key})
        self.said[path, answer.status_code] += 1
        self.stop.wait(PAUSE)
        return answer.json()


def slope(at: list[float], megabytes: list[float]) -> float:
    """Megabytes an hour of the second half."""
    half = len(at) // 2
    return float(np.polyfit(np.array(at[half:]) / 3600, megabytes[half:], 1)[0])


def main() -> int:
    """Measure and print; 1 where an answer failed or a worker died."""
    names = [f"caller{n}" for n in range(CALLERS)]
    with tempfile.TemporaryDirectory() as folder, standing(Path(folder), *names) as service:
        stop = threading.Event()
        callers = [Caller(service, number, stop) for number in range(CALLERS)]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        begun, at, looks = time.monotonic(), [], []
        while (now := time.monotonic() - begun) < 60 * MINUTES:
            at.append(now)
            looks.append(service.resident())
            if len(at) % int(60 / LOOK) == 1:
                files = sum(worker.num_fds() for worker in service.workers())
                megabytes = " + ".join(f"{one:.0f}" for one in looks[-1].values())
                done = sum(caller.said.total() for caller in callers)
                print(f"{now / 60:5.1f} min {done:8,} answers {megabytes} MB {files} files", flush=True)
            time.sleep(LOOK)
        stop.set()
        for thread in threads:
            thread.join()
        said = sum((caller.said for caller in callers), Counter[tuple[str, int]]())
        print("  ".join(f"{path} {status}: {count:,}" for (path, status), count in sorted(said.items())))
        same = all(look.keys() == looks[0].keys() for look in looks)
        for pid in looks[0] if same else ():
            grown = [look[pid] for look in looks]
            print(f"a worker: {grown[0]:.0f} MB at first, {grown[-1]:.0f} at last, {slope(at, grown):+.1f} MB an hour")
        failed = sum(count for (_, status), count in said.items() if status != 200)
        print(f"{said.total():,} answers in {MINUTES:g} minutes, {failed} other than 200; the same workers: {same}")
        return int(bool(failed) or not same)


if __name__ == "__main__":
    sys.exit(main())
