"""Rollouts of three services with a strategy each, in turn, under load from outside and between services."""

import itertools
import re

from .repos import release
from .scene import HOST, Scene

STRATEGIES = {"frontend": "rolling", "backend": "rolling, 3 replicas", "llm": "blue-green"}

_HEALTH = {"interval": "100ms", "timeout": "2s", "deadline": "30s"}


def _service(name, port, health, **more):
    return {"service": name, "on": "manual", "source": {"git": {"url": f"file://{HOST}/git/{name}.git"}},
            "health": {"http": health, **_HEALTH}, "drain": "5s", **more, "proxy": {"port": port, **more.get("proxy", {})}}


_SERVICES = {
    "llm": _service("llm", 8000, "/health", strategy="blue-green"),
    "backend": _service("backend", 8080, "/api/health", replicas=3, proxy={"upstream": "backend"},
                        container={"environment": {"AI_SERVER_URL": "http://llm:8000"}}),
    "frontend": _service("frontend", 3000, "/health", proxy={"upstream": "frontend"}),
}


class Switching:
    def __init__(self):
        self.scene = Scene(services=_SERVICES)
        self.agent = self.scene.agent
        self.commits = {}
        self.shown = []  # every rollout under load
        self.loads = []

    def start(self, rate, between_rate):
        """Two versions of each service are built, and the load begins."""
        self.scene.start()
        self.commits = {service: [self.scene.repos[service].head] for service in STRATEGIES}
        self._roll("llm", "backend", "frontend")
        for service in STRATEGIES:
            self.commits[service].append(release(self.scene.repos[service], "v2"))
            self._roll(service)
        self.loads = [*self.scene.loads(rate, between_rate), *self.scene.stream_loads(3000)]
        for load in self.loads:
            load.start()

    def rollouts(self):
        """Rolls the services to their other version in turn, for as long as it is asked for the next one."""
        for number in itertools.count():
            for service in STRATEGIES:
                self._roll(service, "--ref", self.commits[service][number % 2])
                self.shown.append(self.agent.view("show", str(self.agent.view("history", "--limit", "1")["rollouts"][0]["id"])))
                yield self.shown[-1]

    def stop(self):
        """{name of the load: its report}"""
        return {load.name: load.stop() for load in self.loads}

    def requests(self):
        return sum(load.snapshot()["requests"] for load in self.loads)

    def _roll(self, *arguments):
        done = self.agent.ctl("rollout", *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"deployctl rollout {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")


def switch_times(shown):
    """Of every switch of these rollouts (nginx -t, reload, proof), in ms. What was tested while the targets booted took no time."""
    times = []
    for view in shown:
        for step in view["steps"]:
            found = re.search(r"nginx -t (\d.*?|while it booted), reload (\d.*?), proved (\d.*?)(:|$)", step["detail"])
            if step["kind"] == "switch" and found:
                times.append(tuple(_milliseconds(text) for text in found.groups()[:3]))
    return times


def _milliseconds(text):
    if text == "while it booted":
        return 0.0
    number, unit = text.split(" ")[:2]
    return float(number) * {"ms": 1, "s": 1000}[unit]
