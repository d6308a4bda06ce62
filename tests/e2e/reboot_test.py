"""The host restarts while the agent is off, and its containers come back in any order."""

import http.client
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.dockerd import Dockerd  # noqa: E402
from harness.scene import HOST, ROUTING, SERVICES, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


def settings(name, port, health="/health", **more):
    return {"service": name, "on": "push", "repo": f"demo/{name}", "source": {"git": {"url": f"file://{HOST}/git/{name}.git"}},
            "health": {"http": health, "interval": "100ms", "deadline": "10s"}, "drain": "500ms",
            **more, "proxy": {"port": port, **more.get("proxy", {})}}


DEPLOYED = {
    "llm": settings("llm", 8000),
    "backend": settings("backend", 8080, "/api/health", proxy={"upstream": "backend"},
                        container={"environment": {"AI_SERVER_URL": "http://llm:8000"}}),
    "frontend": settings("frontend", 3000, proxy={"upstream": "frontend"}),
}

# Who must answer: (address of Nginx, port, Host, method, path) -> service.
OUTSIDE, ROUTED = "outside", "routed"
ASKED = {
    (OUTSIDE, 80, "demo.example", "GET", "/"): "frontend",
    (OUTSIDE, 80, "demo.example", "GET", "/api/info"): "backend",
    (OUTSIDE, 80, "demo.example", "POST", "/api/ask"): "backend",  # which calls http://llm:8000
    (ROUTED, 8000, "llm", "GET", "/health"): "llm",
    (ROUTED, 8080, "backend", "GET", "/api/info"): "backend",
    (ROUTED, 3000, "frontend", "GET", "/"): "frontend",
}


def ask(address, port, host, method, path):
    """(status, service that answered or None)"""
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request(method, path, '{"question": "why"}' if method == "POST" else None, {"Host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("X-Service")
    finally:
        connection.close()


class Asker(threading.Thread):
    """Asks for everything again and again, and notes each answer of a service that was not asked for."""

    def __init__(self, addresses):
        super().__init__(daemon=True)
        self.addresses = addresses  # of Nginx, as they are now; None: not known
        self.wrong = []
        self.answered = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            for (where, port, *request), service in ASKED.items():
                address = self.addresses.get(where)
                if address is None:
                    continue
                try:
                    status, by = ask(address, port, *request)
                except (OSError, http.client.HTTPException):
                    continue
                self.answered += 1
                if by not in (None, service):
                    self.wrong.append(f"{request} was answered by {by} with {status}")
            self.over.wait(0.005)

    def end(self):
        self.over.set()
        self.join()


class Reboot(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.scene = Scene(services=DEPLOYED)
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.engine = cls.scene.engine
        cls.dockerd = Dockerd(cls.engine)
        done = cls.scene.agent.ctl("rollout", *SERVICES)
        if done.returncode != 0:
            raise RuntimeError(f"v1 was not deployed:\n{done.stderr}")
        cls.containers = {name.split("-")[0]: name for name in cls.scene.own_containers()} | {"nginx": "nginx"}
        cls.state = cls.deployed_state()
        if cls.scene.agent.stop() != 0:
            raise RuntimeError("deployd did not end well")

    @classmethod
    def deployed_state(cls):
        """All that deployd may touch, but how often containers were started."""
        containers = cls.engine.call("GET", "/containers/json", all="true")
        return {
            "containers": sorted((c["Id"], c["Names"], c["State"]) for c in containers),
            "routing": sorted((c["Names"], c["NetworkSettings"]["Networks"][ROUTING]["IPAddress"]) for c in containers),
            "upstreams": {file.name: (file.stat().st_ino, file.read_text()) for file in cls.scene.nginx.upstreams.iterdir()},
            "images": sorted(image["Id"] for image in cls.engine.call("GET", "/images/json")),
            "rollouts": cls.scene.agent.rollouts() if cls.scene.agent.process.poll() is None else None,
        }

    def started(self):
        return {name: self.engine.inspect(name)["State"]["StartedAt"] for name in self.containers.values()}

    def serves(self):
        """Every way to ask for a service is answered by it."""
        try:
            return all(ask(self.asker.addresses[where], *request) == (200, service)
                       for (where, *request), service in ASKED.items())
        except (OSError, KeyError, http.client.HTTPException):
            return False

    def learn_addresses(self):
        """Nginx's addresses as they are now; the shared network may have given it another one."""
        networks = self.engine.inspect("nginx")["NetworkSettings"]["Networks"]
        for where, network in ((OUTSIDE, self.scene.nginx.network), (ROUTED, ROUTING)):
            self.asker.addresses[where] = networks[network]["IPAddress"] or None

    def reboot(self, start):
        """Ends the engine and everything in it, starts the engine and then what `start` starts, all the time under questions;
        afterwards every service works, and nobody was answered by another one."""
        self.asker = Asker({})
        self.learn_addresses()
        self.asker.start()
        self.addCleanup(self.asker.end)
        start()
        self.learn_addresses()
        until(self.serves, "every service to work without the agent", 60)
        before = self.asker.answered
        until(lambda: self.asker.answered > before + 2 * len(ASKED), "some more questions")
        self.asker.end()
        self.assertEqual(self.asker.wrong, [])

    def in_order(self, *names):
        def start():
            for name in self.containers.values():
                self.engine.call("POST", f"/containers/{name}/stop", t=5)
            self.dockerd.stop()
            self.dockerd.start()
            for name in names:
                self.engine.call("POST", f"/containers/{self.containers[name]}/start")
                if name == "nginx":
                    self.learn_addresses()
        self.reboot(start)

    def test_1_nginx_first(self):
        self.in_order("nginx", "frontend", "backend", "llm")

    def test_2_nginx_last(self):
        self.in_order("llm", "frontend", "backend", "nginx")

    def test_3_nginx_between_them(self):
        self.in_order("backend", "nginx", "llm", "frontend")

    def test_4_as_before_the_reboot(self):
        self.in_order("frontend", "llm", "nginx", "backend")

    def test_5_as_the_engine_likes_after_a_power_cut(self):
        def start():
            self.engine.call("POST", "/containers/nginx/update", {"RestartPolicy": {"Name": "unless-stopped"}})
            self.dockerd.power_cut()
            self.dockerd.start()
            until(lambda: all(self.engine.inspect(name)["State"]["Running"] for name in self.containers.values()),
                  "the engine to start the containers again", 60)
        self.reboot(start)

    def test_6_the_agent_comes_back_and_changes_nothing(self):
        started = self.started()
        agent = self.scene.agent
        agent.start()
        # A rollout of what is live runs only once the agent is done with its own start.
        done = agent.ctl("rollout", "frontend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(agent.rollouts()[-1]["phase"], "unchanged")
        after = self.deployed_state()
        after["rollouts"] = after["rollouts"][:-1]
        self.assertEqual(after, self.state)
        self.assertEqual(self.started(), started)
        self.assertEqual(agent.view("status")["notes"], [])


if __name__ == "__main__":
    unittest.main()
