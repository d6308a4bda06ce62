"""`./dev bench switch`: what clients notice of rollouts, strategy by strategy, and how quickly a bad version is gone again.

1. Requests, event streams and WebSockets that fail over rollouts under load, and how long a switch takes beyond nginx -t and the
   reload.
2. The same load while one container is replaced as scripts do: compose's way, and with a second container and a fixed sleep.
3. Rollbacks inside a bake: from the command to the last answer of the new version.
4. Bad versions: how many were promoted, and how long after the verdict the last request reached them.
"""

import argparse
import datetime
import statistics
import sys
import threading
import time

from harness.backend import SERVICE
from harness.load import OutsideLoad
from harness.repos import release
from harness.scene import HOST, NETWORK, Scene
from harness.switching import STRATEGIES, Switching, switch_times
from harness.wait import until

BAD = ["crash", "unhealthy", "deaf", "slow", "flaps", "dies"]


def table(title, header, rows):
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    sys.stdout.flush()


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def under_load(count, rate):
    switching = Switching()
    try:
        switching.start(rate, rate)
        for number, view in enumerate(switching.rollouts(), 1):
            progress(f"rollout {number} of {count}: {view['service']}")
            if number >= count:
                break
        reports = switching.stop()
        switching.scene.stop()
    finally:
        switching.scene.close()
    table(f"Requests over {count} rollouts ({', '.join(f'{name}: {how}' for name, how in STRATEGIES.items())})",
          ["clients", "requests or streams", "failed", "idle connections that Nginx closed", "p99 ms", "longest gap ms"],
          [(name, report["requests"], report["failed"], report["reopened"], f"{report['latency_ms']['p99']:.1f}", report["longest_gap_ms"])
           for name, report in reports.items()])
    tests, reloads, proofs = zip(*switch_times(switching.shown))
    table("One switch (ms)", ["", "median", "longest"],
          [(name, f"{statistics.median(times):.0f}", f"{max(times):.0f}") for name, times in
           (("nginx -t", tests), ("reload", reloads), ("proof, beyond those", proofs))])


class Scripted:
    """A container that is replaced by hand, behind an Nginx that knows it by its name."""

    def __init__(self, scene):
        self.scene = scene
        self.engine = scene.engine
        self.image = self.engine.inspect(next(iter(scene.own_containers())))["Image"]
        self.file = scene.nginx.upstreams / "scripted.conf"

    def run(self, name):
        config = {"Image": self.image, "HostConfig": {"NetworkMode": NETWORK},
                  "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": ["scripted"]}}}}
        self.engine.call("POST", "/containers/create", config, name=name)
        self.engine.call("POST", f"/containers/{name}/start")

    def end(self, name):
        self.engine.call("POST", f"/containers/{name}/stop", t="10")
        self.engine.remove(name)

    def listens(self, name):
        until(lambda: "listens" in self.engine.logs(name), f"{name} to listen", every=0.02)

    def begin(self):
        self.run("scripted-0")
        self.listens("scripted-0")
        # As most configurations are: the name is resolved when Nginx loads them.
        self.file.write_text("server { listen 81; location / { proxy_pass http://scripted:8080; } }\n")
        self.scene.nginx.reload()

    def recreate(self, number):
        """docker compose up -d: the old one goes, the new one comes, Nginx is told."""
        self.end(f"scripted-{number}")
        self.run(f"scripted-{number + 1}")
        self.scene.nginx.reload()

    def beside(self, number):
        """A second container, until it listens; a fixed sleep; the old one goes, Nginx is told."""
        self.run(f"scripted-{number + 1}")
        self.listens(f"scripted-{number + 1}")
        time.sleep(2)
        self.end(f"scripted-{number}")
        self.scene.nginx.reload()


def scripts(count, rate):
    rows = []
    for title, replace in (("recreate, as docker compose up -d", Scripted.recreate),
                           ("a second container and a fixed sleep, as docker-rollout", Scripted.beside)):
        scene = Scene(services={"backend": SERVICE})
        try:
            scene.start()
            if scene.agent.ctl("rollout", "backend").returncode != 0:
                raise RuntimeError("the first rollout failed")
            scripted = Scripted(scene)
            scripted.begin()
            load = OutsideLoad("outside", HOST / "load", [
                "--target", f"{scene.nginx.address}:81", "--host", "demo.example", "--rate", str(rate), "--connections", "32",
                "--kinds", "keepalive-get,new-get", "--get-paths", "/api/info"])
            time.sleep(1)
            load.start()
            for number in range(count):
                progress(f"{title}: {number + 1} of {count}")
                replace(scripted, number)
                time.sleep(1)
            report = load.stop()
            rows.append((title, count, report["requests"], report["failed"]))
            scene.stop()
        finally:
            scene.close()
    table("The same by script", ["method", "replacements", "requests", "failed"], rows)


class Seen:
    """Which version answers, as often as one client can ask."""

    def __init__(self, scene):
        self.scene = scene
        self.last = {}  # version -> when it was seen last
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ends.is_set():
            try:
                answer = self.scene.get("/api/info")
            except OSError:  # 502 and the like: the new version was asked, for the old one never stops
                answer = ""
            self.last["old" if '"v1"' in answer else "new"] = time.time()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        if not self.thread.is_alive():
            raise RuntimeError("the client that looks which version answers has died")
        self.ends.set()
        self.thread.join()


class Backend:
    """blue-green, with a bake."""

    def __init__(self, bake):
        self.scene = Scene(services={"backend": {**SERVICE, "strategy": "blue-green", "bake": bake,
                                                 "health": {**SERVICE["health"], "timeout": "1s", "deadline": "5s", "min_healthy": "2s"}}})
        self.scene.start()
        self.deploy()

    def deploy(self, *arguments):
        return self.scene.agent.ctl("rollout", "backend", *arguments)

    def last(self):
        return self.scene.agent.view("history", "--limit", "1")["rollouts"][0]

    def bakes(self):
        rollout = self.scene.agent.view("status")["services"][0]["rollout"]
        return rollout is not None and rollout["step"] == "bake"


def rollbacks(count):
    backend, took = Backend("60s"), []
    try:
        for number in range(count):
            progress(f"rollback inside a bake: {number + 1} of {count}")
            release(backend.scene.repos["backend"], f"v2-{number}")
            backend.deploy("--detach")
            until(backend.bakes, "the new version to bake", 60)
            with Seen(backend.scene) as seen:
                until(lambda: "new" in seen.last, "the new version to answer")
                began = time.time()
                done = backend.scene.agent.ctl("rollback", "backend")
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            took.append((seen.last["new"] - began) * 1000)
        backend.scene.stop()
    finally:
        backend.scene.close()
    table("From `deployctl rollback` inside a bake to the last answer of the new version (ms)", ["rollbacks", "median", "longest"],
          [(count, f"{statistics.median(took):.0f}", f"{max(took):.0f}")])


def bad_releases(count):
    backend, rows = Backend("12s"), []  # longer than one that dies lives
    try:
        for number in range(count):
            fault = BAD[number % len(BAD)]
            release(backend.scene.repos["backend"], f"v2-{number} {fault}")
            with Seen(backend.scene) as seen:
                backend.deploy()
            last = backend.last()
            progress(f"bad version {number + 1} of {count}: {fault}: {last['reason'][:100]}")
            rows.append((fault, last, seen.last.get("new")))
        backend.scene.stop()
    finally:
        backend.scene.close()
    after = []
    for _, last, seen_at in rows:
        verdicts = [step["finished"] for step in last["steps"] if step["kind"] == "bake" and step["finished"]]
        if verdicts and seen_at:
            after.append(seen_at - timestamp(verdicts[-1]))
    table("Bad versions (exits, never healthy, deaf, slow, flaps, dies in the bake)",
          ["versions", "promoted", "had traffic, in their bake", "seconds from the verdict to their last answer, longest"],
          [(count, sum(last["phase"] == "succeeded" for _, last, _ in rows), len(after), f"{max(after, default=0):.2f}")])


def timestamp(text):
    """Seconds since 1970 of a time as deployctl prints it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench switch")
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--rate", type=int, default=700, help="requests per second, from outside and between services each")
    parser.add_argument("--scripted", type=int, default=10, help="replacements by script")
    parser.add_argument("--rollbacks", type=int, default=10)
    parser.add_argument("--bad", type=int, default=12, help="bad versions")
    options = parser.parse_args()
    if options.rollouts:
        under_load(options.rollouts, options.rate)
    if options.scripted:
        scripts(options.scripted, options.rate)
    if options.rollbacks:
        rollbacks(options.rollbacks)
    if options.bad:
        bad_releases(options.bad)


if __name__ == "__main__":
    main()
