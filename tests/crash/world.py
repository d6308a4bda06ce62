"""The host of the crash rounds: llm, and backend that calls it, behind Nginx and under load; and what must hold after every kill."""

import contextlib
import dataclasses
import datetime
import http.client
import json
import pathlib
import re
import sqlite3

from harness import github
from harness.load import OutsideLoad, ServiceLoad
from harness.repos import release
from harness.scene import HOST, NETWORK, ROUTING, Scene
from harness.wait import until


@dataclasses.dataclass(frozen=True)
class Push:
    service: str
    version: str
    commit: str
    event: str
    payload: dict


FINAL = {"succeeded", "unchanged", "rolled_back", "cancelled", "superseded", "needs_operator"}
RETAIN = 2
PORTS = {"llm": 8000, "backend": 8080}
# How long a client keeps a connection unused is less than the drain: an Nginx that is shutting down closes it at its next request.
DRAIN = "500ms"
LOAD = {"outside": (8, 40), "between": (4, 20)}  # connections, requests per second


def _service(name, health, **more):
    return {"service": name, "on": "push", "repo": f"demo/{name}", "source": {"git": {"url": f"file://{HOST}/git/{name}.git"}},
            "health": {"http": health, "interval": "50ms", "deadline": "15s"}, "drain": DRAIN, "retain": RETAIN, **more}


SERVICES = {
    "llm": _service("llm", "/health", proxy={"port": PORTS["llm"]}),
    "backend": _service("backend", "/api/health", depends_on=["llm"], proxy={"upstream": "backend", "port": PORTS["backend"]},
                        container={"environment": {"AI_SERVER_URL": "http://llm:8000"}}),
}


class World:
    def __init__(self, with_load=True, restart="unless-stopped"):
        self.with_load = with_load
        services = {name: {**settings, "container": {**settings.get("container", {}), "restart": restart}}
                    for name, settings in SERVICES.items()}
        self.scene = Scene(settle="100ms", services=services)
        self.agent = self.scene.agent
        self.engine = self.scene.engine
        self.versions = {service: "v1" for service in SERVICES}  # in traffic
        self.kept = {service: [] for service in SERVICES}  # revisions whose images stay, oldest first
        self.outcomes = {}  # of each pushed commit: the phases that its one rollout may end in
        self.count = 1
        self.loads = []
        self.failed = {}

    def start(self):
        self.scene.start()
        for _ in range(RETAIN):  # from here on each rollout has something to prune
            self._deploy()
        if self.with_load:
            self._start_load()

    def _start_load(self):
        clients = ["--kinds", "keepalive-get,keepalive-post,new-get,new-post", "--get-paths", "/api/info", "--post-paths",
                   "/api/ask", "--post-body", '{"question": "why"}']
        rates = {name: ["--connections", str(connections), "--rate", str(rate)] for name, (connections, rate) in LOAD.items()}
        self.loads = [
            OutsideLoad("outside", HOST / "load", ["--target", f"{self.scene.nginx.address}:80", *rates["outside"], *clients]),
            ServiceLoad("between", HOST / "load", ["--target", "backend:8080", *rates["between"], *clients], self.engine,
                        [NETWORK, ROUTING])]
        for load in self.loads:
            load.start()
        self.failed = {load.name: 0 for load in self.loads}
        until(lambda: all(load.snapshot()["requests"] > 10 for load in self.loads), "the load to flow")

    def _deploy(self):
        pushes = [self.commit(service) for service in SERVICES]
        done = self.agent.ctl("rollout", *SERVICES)
        if done.returncode != 0:
            raise RuntimeError(f"the first versions were not deployed:\n{done.stderr}\n{self.agent.log_text()[-3000:]}")
        self.versions.update({push.service: push.version for push in pushes})
        for service, live in self.agent.live().items():
            self.kept[service].append(live["revision"])

    def close(self):
        for load in self.loads:
            load.end()
        self.scene.close()

    # ---- what a round does ------------------------------------------------------------------------------------------

    def commit(self, service, fault=""):
        """A new version as a commit, and the push that tells of it; nobody has been told yet."""
        self.count += 1
        version = f"v{self.count} {fault}".strip()
        repo = self.scene.repos[service]
        return Push(service, version, release(repo, version), *github.push(repo))

    def send(self, push):
        """True: it was answered 2xx."""
        try:
            status, text = self.scene.github.send(push.event, push.payload)
        except (OSError, http.client.HTTPException):
            return False
        if status // 100 != 2:
            raise RuntimeError(f"the push of {push.service} was answered {status}: {text}")
        return True

    def rollouts_of(self, pushes):
        """Those of the pushed commits, oldest first."""
        commits = {push.commit for push in pushes}
        shown = self.agent.view("history", "--limit", "10")["rollouts"]
        return sorted((rollout for rollout in shown if rollout["commit"] in commits), key=lambda rollout: rollout["id"])

    def ended(self, pushes):
        """Their rollouts, once each service's newest push has one and all are final."""
        rollouts = self.rollouts_of(pushes)
        newest = {push.service: push.commit for push in pushes}
        all_there = set(newest.values()) <= {rollout["commit"] for rollout in rollouts}
        return rollouts if all_there and all(rollout["phase"] in FINAL for rollout in rollouts) else None

    def moved(self, pushes, since):
        """Has anything of their rollouts been begun or ended since that time?"""
        times = []
        for rollout in self.rollouts_of(pushes):
            steps = self.agent.view("show", str(rollout["id"]))["steps"]
            times += [entry.get(key) for entry in [rollout, *steps] for key in ("created", "started", "finished")]
        return any(datetime.datetime.fromisoformat(when.replace("Z", "+00:00")) >= since for when in times if when)

    def outcome_is(self, rollouts, push, phases):
        """Notes what is live now; returns what is wrong with how a push ended, which is to be once and as one of `phases`."""
        self.outcomes[push.commit] = phases
        mine = [rollout for rollout in rollouts if rollout["commit"] == push.commit]
        if mine and mine[-1]["phase"] == "succeeded":
            self.versions[push.service] = push.version
            self.kept[push.service] = [*self.kept[push.service], mine[-1]["revision"]][-RETAIN:]
        seen = [rollout["phase"] for rollout in mine] or self._given_up(push.commit)
        if len(seen) == 1 and seen[0] in phases:
            return []
        told = "; ".join(f"rollout {r['id']} {r['phase']}: {r['reason']}" for r in mine)
        return [f"{push.service} {push.version} was to end once, as {' or '.join(phases)}, and ended as: {told or seen}"]

    def _given_up(self, commit):
        """A change whose place a newer one took before there was a rollout has its outcome in the queue."""
        with contextlib.closing(sqlite3.connect(f"file:{HOST}/state/state.db?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT outcome FROM jobs WHERE commit_id = ? AND outcome <> ''", [commit]).fetchall()
        return ["superseded"] * len(rows)

    # ---- what must hold ------------------------------------------------------------------------------------------------

    def violations(self):
        """What is not as it must be when nothing is under way."""
        return [*self._containers(), *self._images(), *self._files(), *self._versions(), *self._processes(), *self._notes()]

    def _containers(self):
        wrong = []
        containers = [c for c in self.engine.call("GET", "/containers/json", all="true") if "deployctl.instance" in c["Labels"]]
        for service in SERVICES:
            mine = [c for c in containers if c["Labels"]["deployctl.service"] == service]
            if [c["State"] for c in mine] != ["running"]:
                wrong.append(f"{service} has not one running container but " + str({c["Names"][0]: c["State"] for c in mine}))
        addresses = {c["NetworkSettings"]["Networks"][ROUTING]["IPAddress"] for c in containers
                     if ROUTING in c["NetworkSettings"]["Networks"]}
        for file in self.scene.nginx.upstreams.glob("*.conf"):
            routed = set(re.findall(r"server (\d+\.\d+\.\d+\.\d+):\d+", file.read_text())) - {"127.0.0.1"}
            if not routed <= addresses:
                wrong.append(f"{file.name} sends to {sorted(routed - addresses)}, where no container of ours is")
        return wrong

    def _images(self):
        tags = sorted(tag for image in self.scene.own_images() for tag in image["RepoTags"] or [f"<none> {image['Id']}"])
        wanted = sorted(f"deployctl/{service}:{revision}" for service, kept in self.kept.items() for revision in kept)
        return [] if tags == wanted else [f"images are {tags}, and were to be {wanted}"]

    def _files(self):
        wrong = []
        names = sorted(file.name for file in self.scene.nginx.upstreams.iterdir())
        if names != ["backend.conf", "deployctl.conf", "frontend.conf"]:
            wrong.append(f"the folder of upstreams holds {names}")
        state = HOST / "state"
        left = [str(path.relative_to(state)) for path in state.rglob("*")
                if path.name.endswith((".tmp", ".lock", ".home")) or "_git2_" in path.name]
        if left != ["state.db.lock"]:
            wrong.append(f"the state folder holds {sorted(set(left) - {'state.db.lock'})}")
        return wrong

    def _versions(self):
        wrong = []
        nginx = self.scene.nginx.address
        routing = self.engine.address("nginx", ROUTING)
        asked = [("from outside", nginx, 80, "demo.example", "POST", "/api/ask"),
                 ("between services", routing, PORTS["backend"], "backend", "POST", "/api/ask"),
                 ("between services", routing, PORTS["llm"], "llm", "GET", "/health")]
        for where, address, port, host, method, path in asked:
            wanted = self.versions["llm" if host == "llm" else "backend"]
            try:
                answer = _ask(address, port, host, method, path)
            except (OSError, http.client.HTTPException, ValueError) as error:
                wrong.append(f"{host}:{port} {where} does not serve: {error}")
                continue
            seen = (answer.get("version"), answer.get("llm", self.versions["llm"]))
            if seen != (wanted, self.versions["llm"]):
                wrong.append(f"{host}:{port} {where} serves {answer}, and was to serve {wanted} with llm {self.versions['llm']}")
        return wrong

    def _processes(self):
        return [f"the process {pid} ({line}) is left" for pid, line in fetches()]

    def _notes(self):
        try:
            return [f"deployd says: {note}" for note in self.agent.view("status")["notes"]]
        except RuntimeError as error:
            return [str(error)]

    def failures(self):
        """Requests that failed since the last time this was asked: (number, what each load saw)."""
        number, told = 0, []
        for load in self.loads:
            report = load.snapshot()
            fresh = report["failed"] - self.failed[load.name]
            self.failed[load.name] = report["failed"]
            if fresh:
                number += fresh
                last = report["errors"][-min(fresh, 5):]
                told.append(f"{fresh} requests failed {load.name}: " +
                            "; ".join(f"{error['kind']} {error['path']}: {error['error']}" for error in last))
        return number, told

    def requests(self):
        return sum(load.snapshot()["requests"] for load in self.loads)

    def recorded_once(self):
        """Every accepted push of the whole run has exactly one rollout, and that ended as it was to."""
        wrong = []
        shown = self.agent.view("history", "--limit", "1000")["rollouts"]
        for commit, phases in self.outcomes.items():
            seen = [rollout["phase"] for rollout in shown if rollout["commit"] == commit] or self._given_up(commit)
            if len(seen) != 1 or seen[0] not in phases:
                wrong.append(f"the push of {commit[:7]} was to end as {' or '.join(phases)} and is recorded as {seen}")
        return wrong

    def told(self):
        """What helps to see why: the steps of the last rollout, and the last lines of deployd."""
        lines = self.agent.log_text().splitlines()[-15:]
        try:
            last = self.agent.view("history", "--limit", "1")["rollouts"][0]["id"]
            steps = self.agent.view("show", str(last))["steps"]
        except (RuntimeError, IndexError) as error:
            return [str(error), *lines]
        return [*(f"{step['kind']} {step['state']}, {step['attempts']} attempts, {step['started']} to {step['finished']}: "
                  f"{step['detail']}" for step in steps), *lines]

    def unseen(self):
        """Spoils the host in every way that violations() is to see; returns what it did not see. deployd must be off."""
        service = "llm"
        tag = f"deployctl/{service}:{self.kept[service][-1]}"
        own = self.engine.call("GET", f"/images/{tag}/json")["Config"]["Labels"]  # instance and service among them
        self.engine.call("POST", "/containers/create", {"Image": tag, "Labels": own}, name="planted")
        self.engine.call("POST", f"/images/{tag}/tag", repo="deployctl/planted", tag="planted")
        (self.scene.nginx.upstreams / ".planted.tmp").write_text("")
        (HOST / "state" / "git" / "planted.lock").write_text("")
        self.versions[service] = "planted"
        wrong = "\n".join(self.violations())
        return [word for word in ("/planted'", "deployctl/planted:planted", "'.planted.tmp'", "git/planted.lock",
                                  "was to serve planted") if word not in wrong]


def fetches():
    """(pid, command line) of every git-fetch that runs."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip() if folder.name.isdigit() else ""
        except OSError:
            continue
        if line.endswith(" git-fetch"):
            found.append((int(folder.name), line))
    return found


def _ask(address, port, host, method, path):
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request(method, path, '{"question": "why"}' if method == "POST" else None, {"Host": host})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}: {body.decode(errors='replace').strip()}")
        return json.loads(body)
    finally:
        connection.close()
