"""One of docs/examples on a host of its own, started as its owners start it today, with a git repository for each application."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

from . import APPS, RELEASE, ROOT
from .agent import Agent
from .engine import Engine
from .github import GitHub, push
from .load import OutsideLoad
from .registry import Registry
from .repos import Repo
from .scene import HOST
from .stores import IMAGES as STORE_IMAGES
from .stores import import_stores
from .wait import until

EXAMPLES = ROOT / "docs" / "examples"


class Example:
    """`apps`: {folder below apps/: (GitHub's owner/name, where its work tree is on the host, relative to the system's folder)}."""

    def __init__(self, name, apps, folder=None):
        self.name = name
        self.engine = Engine()
        import_stores(self.engine)
        HOST.mkdir()
        self.home = HOST / (folder or name)
        shutil.copytree(EXAMPLES / name, self.home, ignore=shutil.ignore_patterns("apps", "deploy.d", "agent.yaml", "README.md"))
        (self.home / ".env.example").rename(self.home / ".env")
        self.repos = {app: self._repo(app, full_name, folder) for app, (full_name, folder) in apps.items()}
        self.registry = Registry(HOST / "registry")
        self.config = HOST / "etc" / "agent.yaml"
        self.config.parent.mkdir()
        self.agent = None
        self.taken_up = 0
        self.webhook = "127.0.0.1"  # through the users' own Nginx
        self.loads = []

    def _repo(self, app, full_name, folder):
        repo = Repo(HOST / "git", full_name, self.home / folder if folder else None)
        shutil.copytree(EXAMPLES / self.name / "apps" / app, repo.work, dirs_exist_ok=True)
        shutil.copy(APPS / "serve.js", repo.work)
        repo.write("SERVICE", app + "\n")
        self.release(app, "v1", repo)
        return repo

    def release(self, app, version, repo=None):
        """A commit that makes the app a new version; see serve.js for versions that name a fault."""
        repo = repo or self.repos[app]
        repo.write("VERSION", version + "\n")
        return repo.commit(f"{app} {version}")

    def compose(self, *arguments):
        """docker compose in the system's folder, as its owners type it."""
        return self._run(["docker", "compose", *arguments], cwd=self.home)

    def docker(self, *arguments):
        return self._run(["docker", *arguments])

    def prune_images(self):
        """docker image prune --all, but for the images that the other tests of this engine need."""
        kept = [image["Id"] for image in self.engine.call("GET", "/images/json")
                if any(tag.endswith(":local") or tag in STORE_IMAGES for tag in image["RepoTags"] or [])]
        holders = [self.engine.call("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})["Id"] for image in kept]
        said = self.docker("image", "prune", "--all", "--force")
        for holder in holders:
            self.engine.remove(holder)
        return said

    def namesake(self, name, network):
        """A container of somebody else takes a service's name where the services find each other."""
        self.docker("run", "--detach", "--name", name, "--network", network, "node:local", "sleep", "600")

    def restart(self, url, *services):
        """docker compose restart, which cuts requests by itself; afterwards everything answers again."""
        self.compose("restart", *services)
        self.answers(url)

    def psql(self, container, user, database, statement):
        return self.docker("exec", container, "psql", "-U", user, "-d", database, "-At", "-c", statement)

    def listens(self, container):
        """Waits until a database's own container takes connections from others."""
        until(lambda: self.engine.exec(container, "pg_isready", "--host", "127.0.0.1") == 0, f"the database of {container} to listen", 60)

    def _run(self, command, cwd=None):
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-3000:]}")
        return done.stdout.strip()

    def get(self, url):
        """(status, body) of a GET of this host."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def answers(self, url, text=""):
        until(lambda: self.get(url)[0] == 200 and text in self.get(url)[1], f"{url} to be answered{text and ' with ' + text}", 60)

    def publish(self, app, image):
        """What its workflow does: builds the image, pushes it under the commit's id, and is told of by GitHub."""
        repo = self.repos[app]
        repository = f"{self.registry.address}/{image}"
        for tag in (repo.head, "latest"):
            self.engine.build(repo.work, f"{repository}:{tag}")
            self.engine.push(repository, tag)

    def init(self, *arguments):
        """deployctl init, as on a host that has none of it yet."""
        return subprocess.run(self.init_command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)

    def init_command(self, *arguments):
        return [RELEASE / "deployctl", "init", *arguments, "--config", self.config, "--state", HOST / "state",
                "--engine", f"unix://{self.engine.path}"]

    def adopt(self):
        """Shown first, written then, and a second time there is nothing to do; then what its owner makes of it: docs/examples' deploy.d."""
        shown = self.init(self.home)
        if shown.returncode != 10:
            raise RuntimeError(f"init ended with {shown.returncode}:\n{shown.stdout}\n{shown.stderr}")
        done = self.init(self.home, "--write", "--recreate-nginx")
        again = self.init(self.home, "--write")
        if done.returncode or again.returncode or again.stdout:
            raise RuntimeError(f"init --write: {done.returncode}, {again.returncode}:\n{done.stderr}\n{again.stdout}\n{again.stderr}")
        for file in (EXAMPLES / self.name / "deploy.d").iterdir():
            (self.config.parent / "deploy.d" / file.name).write_text(self._here(file.read_text()))
        return shown

    def _here(self, text):
        """The example's file with the addresses of this host's stand-ins for GitHub and the registry."""
        text = text.replace(f"/srv/{self.home.name}", str(self.home)).replace(", token_env: GITHUB_TOKEN", "")
        text = text.replace("https://github.com/", f"file://{HOST}/git/").replace("registry.example", self.registry.address)
        return text.replace('image: "behindy/', f'image: "{self.registry.address}/behindy/')

    def keep_idle_connections(self):
        """The one line that its owner adds to nginx.conf, as `doctor` says; in place, because the file is mounted as one."""
        if os.environ.get("DEPLOYCTL_BASE_SUITE") in ("bookworm", "trixie"):
            return
        conf = self.home / "nginx" / "nginx.conf"
        conf.write_text(conf.read_text().replace("http {\n", "http {\n    keepalive_min_timeout 5s;\n", 1))

    def start_agent(self, **settings):
        """deployd with what init wrote, and `settings` beside it."""
        settings = {"socket": {"path": str(HOST / "deployd.sock")}, "release": {"settle": "2s"}, "poll": "0", **settings}
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings.items()]
        self.config.write_text(self.config.read_text() + "".join(lines))
        self.agent = Agent(self.config.parent, {"services": "deploy.d", "socket": {"path": str(HOST / "deployd.sock")}}, written=True)
        self.agent.start()
        until(lambda: "ready: " in self.agent.log_text() and all(self.agent.live().values()), "deployd to take up what runs", 60)
        self.taken_up = len(self.agent.rollouts())  # the containers that ran are first revisions

    @property
    def github(self):
        return GitHub(f"http://{self.webhook}/hooks/github", (self.config.parent / "webhook-secret").read_text().strip())

    def deliver(self, app, event=push):
        """GitHub's delivery for the newest commit of the app's repository."""
        status, text = self.github.send(*event(self.repos[app]))
        if status != 202:
            raise RuntimeError(f"the delivery for {app} was answered {status}: {text}")

    def deliver_all(self, apps, event=push):
        """A delivery for each, the last first. The services in the order in which they were let in, once all have succeeded."""
        before = len(self.agent.rollouts()) - self.taken_up
        for app in reversed(list(apps)):
            self.deliver(app, event)
        rollouts = self.settled(before + len(apps))[before:]
        if any(rollout["phase"] != "succeeded" for rollout in rollouts):
            raise RuntimeError(f"not all succeeded: {rollouts}")
        return [rollout["service"] for rollout in sorted(rollouts, key=self.agent.let_in)]

    def settled(self, count):
        """The rollouts since the adoption, once there are `count` and all have ended."""
        def ended():
            rollouts = self.agent.rollouts()[self.taken_up:]
            return rollouts if len(rollouts) >= count and all(rollout["finished"] for rollout in rollouts) else None

        return until(ended, f"{count} rollouts to end", 240)

    def identities(self, *containers):
        """{name: (id, when it was started)} of containers that nobody is to touch."""
        return {name: (shown["Id"], shown["State"]["StartedAt"]) for name in containers for shown in [self.engine.inspect(name)]}

    def live_containers(self):
        """{name: id} of what deployd runs or has taken up."""
        named = {}
        for container in self.engine.call("GET", "/containers/json"):
            if "deployctl.instance" in container["Labels"]:
                named[container["Names"][0].lstrip("/")] = container["Id"]
        return named

    def load(self, name, *arguments, port=80):
        load = OutsideLoad(name, HOST / "load", ["--target", f"127.0.0.1:{port}", *arguments])
        load.start()
        self.loads.append(load)
        return load

    def close(self):
        for load in self.loads:
            load.end()
        if self.agent and self.agent.process and self.agent.process.poll():
            print(f"deployd ended with {self.agent.process.returncode}:\n{self.agent.log_text()[-3000:]}", file=sys.stderr)
        for process in (self.agent and self.agent.process, self.registry.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for container in self.engine.call("GET", "/containers/json", all="true"):
            self.engine.remove(container["Id"])
        for volume in self.engine.call("GET", "/volumes")["Volumes"] or []:
            self.engine.call("DELETE", f"/volumes/{volume['Name']}", force="true")
        self.engine.call("POST", "/networks/prune")
        shutil.rmtree(HOST)
