"""`deployctl eject` writes what runs, and who follows its commands has the same services without deployctl."""

import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.scene import HOST, NETWORK, ROUTING, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

SHOP = HOST / "shop"
PLAIN = {key: value for key, value in SERVICE.items() if key != "container"}


def service(name, port, **more):
    return {**PLAIN, "service": name, "repo": f"demo/{name}", "source": {"git": {"url": f"file://{HOST}/git/{name}.git"}},
            "health": {**PLAIN["health"], "http": "/health"}, "proxy": {"port": port, "upstream": name}, **more}


# One described by a Compose file under another name, one by its own file with a secret and a volume, one that answers on a port of the host.
SERVICES = {
    "backend": {**PLAIN, "compose": {"files": [str(SHOP / "docker-compose.yml")], "service": "api"}},
    "frontend": service("frontend", 3000, vars=[str(SHOP / "front.env")], container={
        "environment": {"TOKEN": "<${TOKEN}>", "MONEY": "5$$"}, "volumes": ["front-data:/data"], "mem_limit": "200m", "restart": "always",
        "labels": {"team": "shop"}, "stop_grace_period": "7s", "pre_stop": ["true"]}),
    "llm": service("llm", 8000, container={"ports": ["127.0.0.1:18000:8000"]}),
}
SERVICES["llm"]["proxy"] = {"port": 8000}
COMPOSE = {"services": {"api": {"image": "shop/api:never-built", "build": ".", "environment": {"AI_SERVER_URL": "http://llm:8000", "KEY": "${KEY}"},
                                "networks": ["inner"], "restart": "always", "profiles": ["deployctl"]}},
           "networks": {"inner": {"name": NETWORK, "external": True}}}


class Eject(unittest.TestCase):
    def setUp(self):
        self.scene = Scene(services=SERVICES)
        self.addCleanup(self.scene.close)
        SHOP.mkdir()
        (SHOP / "docker-compose.yml").write_text(json.dumps(COMPOSE))
        (SHOP / ".env").write_text("KEY='k3y$'\n")
        (SHOP / "front.env").write_text("TOKEN='t0ken$x'\n")
        self.scene.start()
        self.agent = self.scene.agent
        done = self.agent.ctl("rollout", *SERVICES)
        self.assertEqual(done.returncode, 0, done.stderr)

    def eject(self, *arguments):
        return self.agent.ctl("eject", "--config", str(self.agent.config), "--into", str(HOST / "out"), *arguments)

    def containers(self):
        engine = self.scene.engine
        return {c["Names"][0].lstrip("/"): engine.inspect(c["Id"]) for c in engine.call("GET", "/containers/json", all="true")}

    def by_service(self, label):
        return {c["Config"]["Labels"][label]: c for c in self.containers().values() if label in c["Config"]["Labels"]}

    def test_its_commands_lead_to_the_same_without_deployctl(self):
        before = self.by_service("deployctl.service")
        self.assertEqual(set(before), set(SERVICES))
        names = set(self.containers())
        upstreams = {file.name: file.read_text() for file in self.scene.nginx.upstreams.iterdir()}
        written = self.eject("-o", "json")
        self.assertEqual(written.returncode, 0, written.stderr)
        told = json.loads(written.stdout)
        # It changed nothing, and wrote no value of a variable.
        self.assertEqual(set(self.containers()), names)
        self.assertEqual({file.name: file.read_text() for file in self.scene.nginx.upstreams.iterdir()}, upstreams)
        for file in told["files"]:
            self.assertNotRegex(pathlib.Path(file).read_text(), "t0ken|k3y", file)
            self.assertEqual(pathlib.Path(file).stat().st_mode & 0o777, 0o600)
        self.assertIn(f"backend: take the profile deployctl out of {SHOP}/docker-compose.yml, so that `docker compose up` starts it again",
                      told["notes"])
        self.assertIn("frontend: nobody runs container.pre_stop any more before it is stopped", told["notes"])
        again = self.eject()
        self.assertEqual((again.returncode, again.stderr),
                         (2, f"deployctl: {HOST}/out is there already: remove it, or name another folder with --into\n"))

        for command in told["commands"]:
            if command.startswith("#"):
                continue
            if command == "systemctl disable --now deployd":
                self.assertEqual(self.agent.stop(), 0)
                continue
            done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stderr}")

        until(lambda: "frontend v1" in self.answer("/"), "the frontend to answer")
        until(lambda: "v1" in self.answer("/api/info"), "the backend to answer")
        until(lambda: self.asked_by_backend(), "llm to answer others by its name")
        owners = {name: c["Config"]["Labels"].get("deployctl.instance") for name, c in self.containers().items()}
        self.assertFalse(any(owners.values()), owners)
        self.assertFalse(set(owners) & {c["Name"].lstrip("/") for c in before.values()})
        self.assertNotIn(ROUTING, [network["Name"] for network in self.scene.engine.call("GET", "/networks")])
        after = self.by_service("com.docker.compose.service")
        self.assertEqual(set(after), {"api", "frontend", "llm"})
        after["backend"] = after.pop("api")
        for name, was in before.items():
            now = after[name]
            self.assertEqual(now["Image"], was["Image"], name)
            self.assertEqual(sorted(now["Config"]["Env"]), sorted(was["Config"]["Env"]), name)
            for key in ("Memory", "RestartPolicy", "PortBindings"):
                self.assertEqual(now["HostConfig"][key] or None, was["HostConfig"][key] or None, f"{name} {key}")
            mounts = [[(mount["Source"], mount["Destination"], mount["RW"]) for mount in c["Mounts"]] for c in (now, was)]
            self.assertEqual(*mounts)
        self.assertEqual(after["frontend"]["Config"]["Labels"]["team"], "shop")
        self.assertEqual(after["frontend"]["Config"]["StopTimeout"], 7)

    def answer(self, path):
        try:
            return self.scene.get(path)
        except OSError:
            return ""

    def asked_by_backend(self):
        (name,) = [name for name, c in self.containers().items() if c["Config"]["Labels"].get("com.docker.compose.service") == "api"]
        ask = "fetch('http://llm:8000/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"
        return self.scene.engine.exec(name, "node", "-e", ask) == 0

    def test_what_it_cannot_give_back_is_said(self):
        (SHOP / "docker-compose.yml").write_text(json.dumps({**COMPOSE, "services": {"api": {**COMPOSE["services"]["api"], "user": "1"}}}))
        written = self.eject()
        self.assertEqual(written.returncode, 0, written.stderr)
        self.assertIn(f"note: backend: {SHOP}/docker-compose.yml say something else than what is live by now, and the new containers will "
                      "be like that: deployctl plan backend\n", written.stderr)
        self.assertTrue(written.stdout.startswith("# deployd ends; what is live serves on\nsystemctl disable --now deployd\n"), written.stdout)


if __name__ == "__main__":
    unittest.main()
