"""The demo's host: a shared network, Nginx, a registry, three repositories and deployd with the repository's own deploy.d/."""

import json
import pathlib
import shutil
import urllib.request

from . import ROOT
from .agent import SECRET, Agent
from .engine import Engine
from .github import GitHub
from .load import OutsideLoad, ServiceLoad
from .nginx import Nginx
from .registry import Registry
from .repos import app_repo

SERVICES = ("llm", "backend", "frontend")  # in the order of depends_on
HOST = pathlib.Path("/run/demo")  # deploy.d/ names it; /run is the sandbox's own
NETWORK = "internal"
ROUTING = "deployctl"  # made by deployd; every service is on both
WEBHOOK = "127.0.0.1:9010"


class Scene:
    def __init__(self, settle="1s", services=None, nginx=Nginx, poll="0"):
        """`services` ({name: settings}) takes the place of the repository's own deploy.d/; they are apps of SERVICES."""
        HOST.mkdir()
        self.engine = Engine()
        self.engine.create_network(NETWORK)
        self.repos = {service: app_repo(HOST / "git", service) for service in services or SERVICES}
        self.registry = Registry(HOST / "registry")
        self.nginx = nginx(self.engine, HOST / "nginx", NETWORK, services or SERVICES)
        self.github = GitHub(f"http://{WEBHOOK}/hooks/github", SECRET)
        self.agent = Agent(HOST / "agent", {
            "state": str(HOST / "state"),
            "socket": {"path": str(HOST / "deployd.sock")},
            "services": "deploy.d",
            "engine": f"unix://{self.engine.path}",
            "network": NETWORK,
            "webhook": {"listen": WEBHOOK, "path": "/hooks/github", "secrets": [{"env": "GITHUB_WEBHOOK_SECRET"}]},
            "proxy": {"nginx": self.nginx.settings},
            "release": {"settle": settle},
            "poll": poll,
            "limits": {"retry": "5s"},
        })
        if services is None:
            shutil.copytree(ROOT / "deploy.d", self.agent.services, dirs_exist_ok=True)
        for service, settings in (services or {}).items():
            (self.agent.services / f"{service}.yaml").write_text(json.dumps(settings, indent=2))

    def start(self):
        self.registry.start()
        self.nginx.start()
        self.agent.start()

    def stop(self):
        """Ends what this scene started outside of the engine; returns deployd's exit status."""
        self.registry.stop()
        return self.agent.stop()

    def close(self):
        """Clears the host away, in whatever state it is, for the next scene."""
        for process in (self.agent.process, self.registry.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.nginx.close()
        for container in self.engine.call("GET", "/containers/json", all="true"):
            self.engine.remove(container["Id"])
        for image in self.own_images():
            self.engine.call("DELETE", f"/images/{image['Id']}", force="true")
        self.engine.call("POST", "/networks/prune")
        shutil.rmtree(HOST)

    def get(self, path):
        """Body of a GET from outside, through Nginx."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.nginx.address}{path}", timeout=10) as answer:
            return answer.read().decode()

    def own_containers(self):
        """{name: state} of what deployd made."""
        containers = self.engine.call("GET", "/containers/json", all="true")
        return {c["Names"][0].lstrip("/"): c["State"] for c in containers if "deployctl.instance" in c["Labels"]}

    def own_images(self):
        """Of every scene of this engine: each takes away its own at its end."""
        return self.engine.call("GET", "/images/json", filters=json.dumps({"label": ["deployctl.instance"]}))

    def edit_service(self, service, edit):
        """Rewrites a file of deploy.d and restarts deployd with it; returns the text that was there."""
        file = self.agent.services / f"{service}.yaml"
        before = file.read_text()
        file.write_text(edit(before))
        status = self.agent.stop()
        if status != 0:
            raise RuntimeError(f"deployd ended with {status} on SIGTERM:\n{self.agent.log_text()[-3000:]}")
        self.agent.start()
        return before

    def loads(self, rate, between_rate):
        """Clients from outside, and clients that call llm as backend does."""
        outside = OutsideLoad("outside", HOST / "load", [
            "--target", f"{self.nginx.address}:80", "--host", "demo.example", "--rate", str(rate), "--connections", "32",
            "--kinds", "keepalive-get,keepalive-post,new-get", "--get-paths", "/,/api/info",
            "--post-paths", "/api/ask", "--post-body", '{"question": "why"}'])
        between = ServiceLoad("between", HOST / "load", [
            "--target", "llm:8000", "--rate", str(between_rate), "--connections", "8",
            "--kinds", "keepalive-post,new-post", "--post-paths", "/generate", "--post-body", '{"prompt": "why"}'],
            self.engine, [NETWORK, ROUTING])
        return [outside, between]

    def stream_loads(self, milliseconds):
        """As loads(): server-sent events and WebSockets, one and a half of each begun in a second, each so long."""
        def arguments(prefix):
            return ["--rate", "3", "--connections", "12", "--kinds", "new-get,websocket",
                    "--get-paths", f"{prefix}/stream?ms={milliseconds}", "--socket-paths", f"{prefix}/socket?ms={milliseconds}"]

        outside = OutsideLoad("streams-outside", HOST / "load",
                              ["--target", f"{self.nginx.address}:80", "--host", "demo.example", *arguments("/api")])
        between = ServiceLoad("streams-between", HOST / "load", ["--target", "llm:8000", *arguments("")], self.engine, [NETWORK, ROUTING])
        return [outside, between]
