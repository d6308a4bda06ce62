"""`./dev bench`: the figures of docs/testing.md, each beside what it is compared with, measured in one run.

1. Requests that fail over rollouts of backend and llm in turn, under load from outside and between services.
2. A rollout's own time (without fetch, build, boot and drain) beside the same engine and Nginx calls by a bare script.
3. What an idle deployd takes.
4. How long `status` takes with a long history.
5. How long it takes to read the configuration of 200 services, and to make one release of them all.
6. How long a release of three services takes that all build equally long, beside its longest build and the sum of its rollouts.
"""

import argparse
import datetime
import http.client
import json
import pathlib
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

from harness import RELEASE, github
from harness.repos import release
from harness.scene import HOST, NETWORK, ROUTING, SERVICES, Scene
from harness.wait import until

OUTSIDE_RATE, BETWEEN_RATE = 500, 500
BUILD_SECONDS = 8
NOT_OURS = {"fetch", "build", "pull", "image", "probe", "drain"}  # steps whose time is the user's, not deployctl's


def parse(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def milliseconds(view):
    if not view["started"] or not view["finished"]:
        return 0.0
    return (parse(view["finished"]) - parse(view["started"])).total_seconds() * 1000


def by_kind(view):
    """{kind of step: ms of all its steps}"""
    sums = {}
    for step in view["steps"]:
        sums[step["kind"]] = sums.get(step["kind"], 0.0) + milliseconds(step)
    return sums


class Bench:
    def __init__(self, rollouts):
        self.count = rollouts
        self.scene = Scene()
        self.agent = self.scene.agent

    def deploy(self, *arguments):
        done = self.agent.ctl("rollout", *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"deployctl rollout {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return self.agent.view("show", str(self.agent.rollouts()[-1]["id"]))

    def bare_calls(self):
        """The calls of one rollout, as a script makes them: {call: ms}. Its container had requests before it is stopped, as one that
        is replaced: the engine takes longer to stop such a one."""
        engine, nginx, took = self.scene.engine, self.scene.nginx, {}

        def call(name, action):
            began = time.perf_counter()
            action()
            took[name] = (time.perf_counter() - began) * 1000

        image = engine.inspect(next(name for name in self.scene.own_containers() if name.startswith("backend")))["Image"]
        config = {"Image": image, "HostConfig": {"NetworkMode": NETWORK}}
        call("create", lambda: engine.call("POST", "/containers/create", config, name="bare"))
        call("connect", lambda: engine.call("POST", f"/networks/{ROUTING}/connect", {"Container": "bare"}))
        call("start", lambda: engine.call("POST", "/containers/bare/start"))
        until(lambda: "listens" in engine.logs("bare"), "the bare container to listen", every=0.02)
        address = engine.address("bare", NETWORK)
        subprocess.run([RELEASE / "load", "--target", f"{address}:8080", "--rate", "200", "--connections", "8", "--kinds",
                        "keepalive-get,new-get", "--get-paths", "/api/info", "--seconds", "2"], check=True, stdout=subprocess.DEVNULL)
        file = nginx.upstreams / "bare.conf"
        call("write", lambda: file.write_text(f"upstream bare {{ server {address}:8080; }}\n"))
        call("nginx -t", lambda: engine.exec("nginx", "nginx", "-t", "-c", "/etc/nginx/main/nginx.conf"))
        call("HUP", nginx.reload)
        call("stop", lambda: engine.call("POST", "/containers/bare/stop", t="10"))
        call("remove", lambda: engine.remove("bare"))
        file.unlink()
        return took

    def measure_rollouts(self):
        """Rolls two versions of backend and of llm in turn, and the bare calls between them, all under the same load."""
        commits = {service: [self.scene.repos[service].head, release(self.scene.repos[service], "v2")] for service in ("backend", "llm")}
        for service in commits:  # build both before anything is measured
            self.deploy(service)
        loads = self.scene.loads(OUTSIDE_RATE, BETWEEN_RATE)
        for load in loads:
            load.start()
        shown, bare = [], []
        for number in range(self.count):
            service = ("backend", "llm")[number % 2]
            commit = commits[service][(number // 2) % 2]
            shown.append(self.deploy(service, "--ref", commit))
            if number % 2:
                bare.append(self.bare_calls())
            print(f"  rollout {number + 1:>2} of {self.count}: {service} {milliseconds(shown[-1]) / 1000:5.1f} s", file=sys.stderr, flush=True)
        reports = {load.name: load.stop() for load in loads}
        return shown, bare, reports

    def measure_idle(self, seconds=20):
        """(MB, wake-ups per second of the busiest thread) of a deployd that was just started."""
        self.agent.stop()
        self.agent.start()
        time.sleep(5)

        def switches():
            counts = {}
            for task in pathlib.Path(f"/proc/{self.agent.process.pid}/task").iterdir():
                for line in (task / "status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        counts[task.name] = int(line.split()[1])
            return counts

        before = switches()
        time.sleep(seconds)
        after = switches()
        return self.agent.rss_kb() / 1024, max((after[t] - before.get(t, 0)) / seconds for t in after)

    def measure_status(self, rollouts=100_000, times=200):
        """Milliseconds of each GET /v1/status with so many rollouts in the history: copies of the last one of each service."""
        self.agent.stop()
        database = sqlite3.connect(HOST / "state" / "state.db")
        columns = [row[1] for row in database.execute("PRAGMA table_info(rollouts)") if row[1] != "id"]
        names = ", ".join(columns)
        for service in SERVICES:
            database.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO rollouts ({names}) "
                f"SELECT {names} FROM n, (SELECT * FROM rollouts WHERE service = ? ORDER BY id DESC LIMIT 1)",
                (rollouts // len(SERVICES) + 1, service))
        database.commit()
        database.close()
        self.agent.start()
        took = []
        for _ in range(times):
            connection = http.client.HTTPConnection("deployd")
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.connect(str(self.agent.socket))
            began = time.perf_counter()
            connection.request("GET", "/v1/status")
            connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1000)
            connection.close()
        return took

    def measure_release(self):
        """(wall, longest build, [own time of each rollout]) in seconds of a release of all three, which build for equally long
        at once. A rollout's own time begins when it is let in, and ends when the next may be: when it is promoted; that of the last ends with it."""
        settings = json.loads(self.agent.config.read_text())
        settings["limits"]["builds"] = len(SERVICES)
        self.agent.config.write_text(json.dumps(settings))
        self.agent.stop()
        self.agent.start()
        for service in SERVICES:
            repo = self.scene.repos[service]
            text = (repo.work / "Dockerfile").read_text()
            repo.write("Dockerfile", text.replace("CMD ", f'RUN ["sleep", "{BUILD_SECONDS}"]\nCMD '))
            release(repo, "v3")
        last = self.agent.rollouts()[-1]["id"]
        for service in SERVICES:
            status, text = self.scene.github.send(*github.push(self.scene.repos[service]))
            if status != 202:
                raise RuntimeError(text)

        def ended():
            fresh = [rollout for rollout in self.agent.rollouts() if rollout["id"] > last]
            return fresh if len(fresh) == len(SERVICES) and all(rollout["finished"] for rollout in fresh) else None
        rollouts = sorted(until(ended, "the release to end", 300, 0.2), key=self.agent.let_in)
        if any(rollout["phase"] != "succeeded" for rollout in rollouts):
            raise RuntimeError(f"a rollout failed: {rollouts}")
        views = [self.agent.view("show", str(rollout["id"])) for rollout in rollouts]
        seconds = lambda begin, end: (parse(end) - parse(begin)).total_seconds()
        wall = seconds(min(view["started"] for view in views), max(view["finished"] for view in views))
        build = max(sum(ms for kind, ms in by_kind(view).items() if kind in ("fetch", "build")) for view in views) / 1000
        promoted = [next(step["finished"] for step in view["steps"] if step["kind"] == "promote") for view in views]
        own = [seconds(self.agent.let_in(view), end) for view, end in zip(views, [*promoted[:-1], views[-1]["finished"]])]
        return wall, build, own

    def run(self):
        self.scene.start()
        self.deploy(*SERVICES)
        shown, bare, reports = self.measure_rollouts()
        busy_rss = self.agent.rss_kb() / 1024
        wall, build, own_times = self.measure_release()
        idle_rss, wakeups = self.measure_idle()
        status = self.measure_status()
        self.scene.stop()
        planning = subprocess.run([RELEASE / "planning"], check=True, capture_output=True, text=True).stdout.split()

        print(f"\nRequests over {self.count} rollouts of backend and llm, nginx with keepalive_min_timeout 5s\n")
        print("| clients | requests | failed | p50 ms | p99 ms | longest gap ms |\n|---|---|---|---|---|---|")
        for name, report in reports.items():
            latency = report["latency_ms"]
            print(f"| {name} | {report['requests']} | {report['failed']} | {latency['p50']:.1f} | {latency['p99']:.1f} | {report['longest_gap_ms']} |")

        steps = [by_kind(view) for view in shown]
        own = [milliseconds(view) - sum(ms for kind, ms in kinds.items() if kind in NOT_OURS) for view, kinds in zip(shown, steps)]
        calls = [sum(took.values()) for took in bare]
        print("\nOne rollout without fetch, build, boot and drain (median ms)\n")
        print("| deployctl | bare script | ratio |\n|---|---|---|")
        print(f"| {statistics.median(own):.0f} | {statistics.median(calls):.0f} | {statistics.median(own) / statistics.median(calls):.2f} |")
        print("\n| step of deployctl | ms |\n|---|---|")
        for kind in dict.fromkeys(kind for kinds in steps for kind in kinds):
            print(f"| {kind} | {statistics.median(kinds.get(kind, 0) for kinds in steps):.0f} |")
        print("\n| call of the bare script | ms |\n|---|---|")
        for name in bare[0]:
            print(f"| {name} | {statistics.median(took[name] for took in bare):.0f} |")

        print("\nIdle deployd\n\n| MB | MB after the rollouts | wake-ups/s of its busiest thread |\n|---|---|---|")
        print(f"| {idle_rss:.1f} | {busy_rss:.1f} | {wakeups:.2f} |")

        print("\nStatus with 100,000 rollouts in the history (ms)\n\n| median | 99 % | longest |\n|---|---|---|")
        status.sort()
        print(f"| {statistics.median(status):.1f} | {status[len(status) * 99 // 100]:.1f} | {status[-1]:.1f} |")
        print(f"\nA release of three services whose Dockerfiles each sleep for {BUILD_SECONDS} s (s)\n")
        print("| wall time | longest build | rollouts | longest build + 1.1 × their sum |\n|---|---|---|---|")
        print(f"| {wall:.1f} | {build:.1f} | {' + '.join(f'{own:.1f}' for own in own_times)} | {build + 1.1 * sum(own_times):.1f} |")
        print("\n200 services of 50 repositories (ms, medians)\n\n| load the configuration | make one release of all | `plan` | one wake of the dispatcher |\n|---|---|---|---|")
        print(f"| {planning[1]} | {planning[3]} | {planning[5]} | {planning[7]} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=20)
    Bench(parser.parse_args().rollouts).run()


if __name__ == "__main__":
    main()
