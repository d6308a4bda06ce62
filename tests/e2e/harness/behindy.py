"""A host as behindy's is today: apps started by `docker run` from a registry, Nginx with its configuration mounted from the
ops repository, a database, and no deployctl."""

import os
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.request

from . import RELEASE
from .agent import Agent
from .engine import Engine
from .load import OutsideLoad
from .registry import Registry
from .repos import Repo, app_repo
from .scene import HOST
from .wait import until

NETWORK = "behindy-ops_internal"
APPS = {"llm": 8000, "backend": 8080, "frontend": 3000}

NGINX = """\
# Behindy
worker_processes 2;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_min_timeout 5s;

    upstream frontend {
        server frontend:3000 max_fails=3 fail_timeout=10s;
        keepalive 32;
    }
    upstream backend {
        # at most three failures
        server backend:8080 max_fails=3 fail_timeout=10s;
        keepalive 32;
    }

    server {
        listen 80;
        location / { proxy_pass http://frontend; }
        location /api {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
"""


# Nginx has it since 1.27.4; these suites have an earlier one.
if os.environ.get("DEPLOYCTL_BASE_SUITE") in ("bookworm", "trixie"):
    NGINX = NGINX.replace("    keepalive_min_timeout 5s;\n", "")


class AdoptedAgent(Agent):
    """A deployd whose files `deployctl init` wrote."""

    def __init__(self, folder):  # pylint: disable=super-init-not-called
        self.folder = folder
        self.config = folder / "agent.yaml"
        self.services = folder / "deploy.d"
        self.socket = pathlib.Path("/run/deployctl/deployd.sock")
        self.log = HOST / "deployd.log"
        self.programs = RELEASE
        self.process = None


class Behindy:
    def __init__(self):
        HOST.mkdir()
        self.engine = Engine()
        self.registry = Registry(HOST / "registry")
        self.repos = {service: app_repo(HOST / "git", service) for service in APPS}
        self.ops = Repo(HOST / "git", "behindy-ops")
        self.agent = AdoptedAgent(HOST / "etc")
        self.conf = self.ops.work / "nginx" / "nginx.conf"
        self.env = self.ops.work / ".env"

    def start(self):
        """What the repositories' workflows do: build, push, and start the containers."""
        self.registry.start()
        self.ops.write("nginx/nginx.conf", NGINX)
        self.ops.write(".env", "DB_PASS=correct-horse-battery\nAI_SERVER_URL=http://llm:8000\n")
        self.ops.write("scripts/check.sh", "curl -f http://localhost:8080/actuator/health\n")
        self.ops.commit("Infrastructure")
        self.engine.create_network(NETWORK)
        self.engine.run("db", "busybox:local", NETWORK, ["sleep", "100000"])
        for service in APPS:
            self.publish(service)
            self.engine.run(service, self.image(service), NETWORK, environment=self.environment(service),
                            binds=["/etc/localtime:/etc/localtime:ro"])
        command = ["nginx", "-c", "/etc/nginx/main/nginx.conf", "-g", "daemon off;"]
        self.engine.run("behindy-nginx", "nginx:local", NETWORK, command, [f"{self.conf.parent}:/etc/nginx/main:ro"])
        until(lambda: self.status("/api/health") == 200, "Nginx to pass requests on")

    @staticmethod
    def image(service):
        return f"127.0.0.1:5000/behindy/{service}:latest"

    @staticmethod
    def environment(service):
        return ["AI_SERVER_URL=http://llm:8000", "SPRING_DATASOURCE_PASSWORD=correct-horse-battery", "TZ=Asia/Seoul"] \
            if service == "backend" else []

    def publish(self, service):
        self.engine.build(self.repos[service].work, self.image(service))
        self.engine.push(f"127.0.0.1:5000/behindy/{service}", "latest")

    @property
    def address(self):
        return self.engine.address("behindy-nginx", NETWORK)

    def status(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address}{path}", timeout=10) as answer:
            return answer.read().decode()

    def load(self):
        return OutsideLoad("outside", HOST / "load", [
            "--target", f"{self.address}:80", "--host", "demo.example", "--rate", "200", "--connections", "16",
            "--kinds", "keepalive-get,keepalive-post,new-get", "--get-paths", "/,/api/info",
            "--post-paths", "/api/ask", "--post-body", '{"question": "why"}'])

    def init_command(self, *arguments):
        """`deployctl init` as root of this host would run it."""
        return [RELEASE / "deployctl", "init", "--config", self.agent.config, "--state", HOST / "state", *arguments, self.ops.work]

    def init(self, *arguments):
        return subprocess.run(self.init_command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)

    def files(self):
        """{path: text} of all that init may touch."""
        folders = [HOST / "etc", self.ops.work, HOST / "state"]
        return {str(file): file.read_text() for folder in folders for file in sorted(folder.rglob("*"))
                if file.is_file() and ".git/" not in str(file) and "state.db" not in file.name}

    def containers(self):
        return {c["Names"][0].lstrip("/"): c["State"] for c in self.engine.call("GET", "/containers/json", all="true")}

    def close(self):
        for process in (self.agent.process, self.registry.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for container in self.engine.call("GET", "/containers/json", all="true"):
            self.engine.remove(container["Id"])
        self.engine.call("POST", "/networks/prune")
        shutil.rmtree(HOST)
