"""`./dev demo`: a GitHub event becomes a new version in traffic, under steady load from clients that never retry.

Everything in it is real: the engine, Nginx, git, the registry, deployd, the requests. It ends with 0 only if no request failed
and everything came out as each step says.
"""

import datetime
import sys
import time

from harness import github
from harness.repos import release
from harness.scene import SERVICES, Scene
from harness.wait import until

FINAL = {"succeeded", "unchanged", "rolled_back", "cancelled", "superseded", "needs_operator"}
OUTSIDE_RATE, BETWEEN_RATE = 300, 200
BACKEND_IMAGE = "127.0.0.1:5000/demo/backend"


def seconds_between(start, end):
    parse = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (parse(end) - parse(start)).total_seconds()


class Demo:
    def __init__(self):
        self.began = time.monotonic()
        self.scene = Scene()
        self.agent = self.scene.agent
        self.loads = []
        self.counts = {}  # load -> (requests, failed, {service: {version: count}}) at the end of the last step
        self.wrong = []

    # ---- what is printed ------------------------------------------------------------------------------------------

    def say(self, text=""):
        print(text, flush=True)

    def step(self, title):
        self.say(f"\n[{time.monotonic() - self.began:5.1f} s] {title}")

    def expect(self, holds, what):
        if not holds:
            self.wrong.append(what)
            self.say(f"    NOT AS EXPECTED: {what}")

    def show_rollouts(self, rollouts):
        for rollout in rollouts:
            took = seconds_between(rollout["started"], rollout["finished"]) if rollout["started"] else 0
            self.say(f"    #{rollout['id']:<3} {rollout['service']:<9} {rollout['phase']:<12} {took:6.2f} s  {rollout['revision']}")
            if rollout["reason"]:
                self.say(f"         {rollout['reason']}")

    def show_clients(self):
        """What the clients saw since the last step."""
        for load in self.loads:
            report = load.snapshot()
            requests, failed, versions = self.counts.get(load.name, (0, 0, {}))
            seen = []
            for service, counts in sorted(report["versions"].items()):
                fresh = {v: c["count"] - versions.get(service, {}).get(v, 0) for v, c in counts.items()}
                seen += [f"{service} {v}: {n}" for v, n in sorted(fresh.items()) if n]
            failures = report["failed"] - failed
            self.say(f"    {load.name:<8} {report['requests'] - requests:>6} requests, {failures} failed   {', '.join(seen)}")
            self.expect(failures == 0, f"{failures} requests of the load {load.name!r} failed")
            self.counts[load.name] = (report["requests"], report["failed"], {
                service: {v: c["count"] for v, c in counts.items()} for service, counts in report["versions"].items()})

    # ---- what is done ---------------------------------------------------------------------------------------------

    def deliver(self, event, payload):
        status, text = self.scene.github.send(event, payload)
        self.say(f"    {event} of {payload['repository']['full_name']} {self.scene_head(payload)}: answered {status}")
        self.expect(200 <= status < 300, f"the webhook was answered {status}: {text.strip()}")

    @staticmethod
    def scene_head(payload):
        return (payload.get("after") or payload["workflow_run"]["head_sha"])[:7]

    def rollouts_after(self, last, number):
        """The rollouts that came after `last`, once `number` of them have ended."""
        def ended():
            fresh = [rollout for rollout in self.agent.rollouts() if rollout["id"] > last]
            return fresh if len(fresh) >= number and all(r["phase"] in FINAL for r in fresh) else None
        return until(ended, f"{number} rollouts to end", 120, 0.2)

    def last_rollout(self):
        return max((rollout["id"] for rollout in self.agent.rollouts()), default=0)

    def expect_phases(self, rollouts, services, phase):
        found = [(r["service"], r["phase"]) for r in sorted(rollouts, key=self.agent.let_in)]
        self.expect(found == [(service, phase) for service in services], f"{', '.join(services)} each {phase}, in this order; "
                    f"it was {', '.join(f'{s} {p}' for s, p in found)}")

    def expect_version(self, load, service, version):
        """The newest version that the clients of a load got from a service."""
        report = load.snapshot()
        seen = report["versions"].get(service, {})
        newest = max(seen, key=lambda v: seen[v]["last"], default="none")
        self.expect(newest == version, f"clients get {service} {version}; they get {newest}")

    # ---- the story ------------------------------------------------------------------------------------------------

    def first_deployment(self):
        self.step("First deployment by hand: deployctl rollout frontend backend llm (builds three images)")
        done = self.agent.ctl("rollout", "frontend", "backend", "llm")
        rollouts = self.agent.rollouts()
        self.show_rollouts(rollouts)
        self.expect(done.returncode == 0, f"deployctl rollout ended with {done.returncode}: {done.stderr.strip()}")
        self.expect_phases(rollouts, SERVICES, "succeeded")

    def start_load(self):
        self.step(f"Load begins: {OUTSIDE_RATE} requests/s from outside, {BETWEEN_RATE}/s from a container to http://llm:8000")
        self.loads = self.scene.loads(OUTSIDE_RATE, BETWEEN_RATE)
        for load in self.loads:
            load.start()
        time.sleep(1)
        self.show_clients()

    def three_pushes(self):
        self.step("A signed push per repository, sent as frontend, backend, llm")
        last = self.last_rollout()
        for service in reversed(SERVICES):
            release(self.scene.repos[service], "v2")
            self.deliver(*github.push(self.scene.repos[service]))
        rollouts = self.rollouts_after(last, 3)
        self.show_rollouts(rollouts)
        self.show_clients()
        self.expect_phases(rollouts, SERVICES, "succeeded")
        outside, between = self.loads
        self.expect_version(outside, "backend", "v2")
        self.expect_version(outside, "frontend", "v2")
        self.expect_version(between, "llm", "v2")

    def pulled_image(self):
        repo = self.scene.repos["backend"]
        self.step("backend waits for its workflow from now on, and its image comes from a registry (deployd is restarted for that)")
        on_push = self.scene.edit_service("backend", lambda text: text.replace(
            "on: push", f"on: workflow_run\nworkflows: [{github.WORKFLOW}]").replace("  # image:", "  image:"))
        commit = release(repo, "v3")
        tag = f"{BACKEND_IMAGE}:{commit}"
        self.scene.engine.build(repo.work, tag)
        self.scene.engine.push(BACKEND_IMAGE, commit)
        self.scene.engine.remove_image(tag)
        last = self.last_rollout()
        self.deliver(*github.workflow_run(repo, conclusion="failure"))
        self.deliver(*github.workflow_run(repo))
        rollouts = self.rollouts_after(last, 1)
        self.show_rollouts(rollouts)
        self.show_clients()
        self.expect_phases(rollouts, ["backend"], "succeeded")
        image = (self.agent.live()["backend"] or {}).get("image", "")
        self.say(f"    live image: {image}")
        self.expect(f"{BACKEND_IMAGE}@sha256:" in image, f"the live image is pinned by its digest; it is {image!r}")
        self.expect_version(self.loads[0], "backend", "v3")
        self.scene.edit_service("backend", lambda _: on_push)

    def unhealthy_push(self):
        self.step("A push whose backend never becomes healthy")
        last = self.last_rollout()
        release(self.scene.repos["backend"], "v4 unhealthy")
        self.deliver(*github.push(self.scene.repos["backend"]))
        rollouts = self.rollouts_after(last, 1)
        self.show_rollouts(rollouts)
        shown = self.agent.view("show", str(rollouts[-1]["id"]))
        for line in shown["log"][-3:]:
            self.say(f"         | {line}")
        self.show_clients()
        self.expect_phases(rollouts, ["backend"], "rolled_back")
        self.expect(any("connection pool is exhausted" in line for line in shown["log"]), "the container's last lines are shown")
        seen = self.loads[0].snapshot()["versions"]["backend"]
        self.expect("v4 unhealthy" not in seen, "no client ever got the unhealthy version")
        self.expect_version(self.loads[0], "backend", "v3")

    def rollback(self):
        self.step("deployctl rollback backend")
        last = self.last_rollout()
        done = self.agent.ctl("rollback", "backend")
        rollouts = self.rollouts_after(last, 1)
        self.show_rollouts(rollouts)
        self.show_clients()
        self.expect(done.returncode == 0, f"deployctl rollback ended with {done.returncode}: {done.stderr.strip()}")
        self.expect_phases(rollouts, ["backend"], "succeeded")
        self.expect_version(self.loads[0], "backend", "v2")

    def end(self):
        self.step("Load ends")
        for load in self.loads:
            report = load.stop()
            latency = report["latency_ms"]
            self.say(f"    {load.name:<8} {report['requests']:>6} requests, {report['failed']} failed; latency p50 {latency['p50']:.1f}, "
                     f"p99 {latency['p99']:.1f}, max {latency['max']:.0f} ms; longest gap between answers {report['longest_gap_ms']} ms")
            for error in report["errors"][:10]:
                self.say(f"      {error['kind']} {error['path']}: {error['error']}")
            self.expect(report["failed"] == 0, f"{report['failed']} requests of the load {load.name!r} failed")
        ours = self.scene.own_containers()
        self.expect(len(ours) == 4, f"one llm, one backend and two frontends are left; there are {len(ours)}: "
                    + ", ".join(f"{name} {state}" for name, state in ours.items()))
        self.say(f"    deployd: {self.agent.rss_kb() / 1024:.1f} MB")
        status = self.scene.stop()
        self.expect(status == 0, f"deployd ended with {status} on SIGTERM")

    def run(self):
        self.step("A host: Nginx, a registry, three repositories, deployd with deploy.d/")
        self.scene.start()
        self.first_deployment()
        self.start_load()
        self.three_pushes()
        self.pulled_image()
        self.unhealthy_push()
        self.rollback()
        self.end()
        self.say(f"\n{'FAILED' if self.wrong else 'Everything as expected'} after {time.monotonic() - self.began:.0f} s")
        for what in self.wrong:
            self.say(f"  - {what}")
        return 1 if self.wrong else 0


def main():
    demo = Demo()
    try:
        return demo.run()
    except Exception:
        print(f"\ndeployd's last lines:\n{demo.agent.log_text()[-4000:] if demo.agent.log.exists() else '(none)'}", file=sys.stderr)
        raise


if __name__ == "__main__":
    sys.exit(main())
