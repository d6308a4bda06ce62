"""A service whose container is described by a Compose file: rolled out, planned when that file changes, and rolled back with what it was."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.scene import HOST, NETWORK, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

SECRET = "hunter2-$x'y"
WEB = {
    "image": "shop/api:1",
    "environment": {"AI_SERVER_URL": "http://llm:8000", "DB_URL": "postgres://app:${DB_PASS}@db", "MODE": "one"},
    "env_file": ["app.env"],
    "volumes": ["uploads:/uploads", "./conf:/conf:ro"],
    "networks": ["internal"],
    "mem_limit": "200m",
    "restart": "always",
    "labels": {"team": "shop"},
}
FILE = {"name": "shop", "services": {"api": WEB, "db": {"image": "postgres", "environment": {"ELSE": "${NOT_OURS}"}}},
        "networks": {"internal": {"name": NETWORK, "external": True}}, "volumes": {"uploads": {"driver": "local"}}}


class Compose(unittest.TestCase):
    def setUp(self):
        settings = {key: value for key, value in SERVICE.items() if key != "container"}
        settings["compose"] = {"files": ["../../shop/docker-compose.yml"], "service": "api"}
        self.scene = Scene(services={"backend": settings})
        self.addCleanup(self.scene.close)
        self.shop = HOST / "shop"
        (self.shop / "conf").mkdir(parents=True)
        (self.shop / ".env").write_text("# of the shop\nDB_PASS=" + '"' + SECRET.replace("$", "\\$") + '"\n')
        (self.shop / "app.env").write_text("TOKEN='t0p-secret'\n")
        self.write(api=WEB)
        self.scene.start()
        self.agent = self.scene.agent

    def write(self, **services):
        (self.shop / "docker-compose.yml").write_text(json.dumps({**FILE, "services": {**FILE["services"], **services}}))

    def roll(self, *command):
        done = self.agent.ctl(*(command or ("rollout", "backend")))
        self.assertEqual(done.returncode, 0, done.stderr + self.agent.log_text()[-2000:])

    def container(self):
        (name,) = self.scene.own_containers()
        return self.scene.engine.inspect(name)

    def environment(self):
        return dict(entry.split("=", 1) for entry in self.container()["Config"]["Env"])

    def validate(self, **environment):
        return subprocess.run(
            [self.agent.programs / "deployctl", "validate", "--config", self.agent.config],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)

    def test_1_it_is_rolled_out_planned_and_rolled_back(self):
        self.roll()
        made, environment = self.container(), self.environment()
        self.assertEqual(environment["DB_URL"], f"postgres://app:{SECRET}@db")
        self.assertEqual((environment["TOKEN"], environment["MODE"]), ("t0p-secret", "one"))
        self.assertEqual(sorted(made["HostConfig"]["Binds"]), sorted(["shop_uploads:/uploads", f"{self.shop}/conf:/conf:ro"]))
        self.assertEqual((made["HostConfig"]["Memory"], made["HostConfig"]["RestartPolicy"]["Name"]), (200 << 20, "always"))
        self.assertEqual(made["Config"]["Labels"]["team"], "shop")
        self.assertIn("v1", self.scene.get("/api/info"))
        doctor = self.agent.ctl("doctor", "--config", str(self.agent.config))
        self.assertRegex(doctor.stdout, r"good +compose +Docker Compose reads the files of 1 service\n")
        # A second look finds nothing to do.
        same = self.agent.ctl("plan")
        self.assertEqual(same.returncode, 0, same.stdout)
        self.assertEqual(self.agent.view("status")["notes"], [])

        self.write(api={**WEB, "environment": {**WEB["environment"], "MODE": "two"}, "mem_limit": "300m"})
        changed = self.agent.ctl("plan", "backend")
        self.assertEqual(changed.returncode, 10, changed.stderr)
        self.assertIn("   container.environment.MODE: changed\n   container.mem_limit: 209715200 -> 314572800\n", changed.stdout)
        self.roll()
        self.assertEqual((self.environment()["MODE"], self.container()["HostConfig"]["Memory"]), ("two", 300 << 20))

        # An env file's value: what the container gets changes, and is not told.
        (self.shop / "app.env").write_text("TOKEN=an0ther\n")
        changed = self.agent.ctl("plan")
        self.assertEqual(changed.returncode, 10, changed.stdout)
        self.assertIn("a variable that the file names has another value", changed.stdout)
        self.roll()
        self.assertEqual(self.environment()["TOKEN"], "an0ther")

        # The first revision again, although the file is not like that any more, and is not even read.
        first = self.agent.view("history")["rollouts"][-1]["revision"]
        (self.shop / "docker-compose.yml").write_text("not: [closed")
        self.roll("rollback", "backend", "--to", first)
        self.assertEqual((self.environment()["MODE"], self.container()["HostConfig"]["Memory"]), ("one", 200 << 20))
        self.assertIn("v1", self.scene.get("/api/info"))

        # No value of a variable is in what deployd keeps.
        self.agent.stop()
        for file in [*(HOST / "state").rglob("*"), self.agent.log]:
            if file.is_file():
                for secret in ("hunter2", "t0p-secret", "an0ther"):
                    self.assertNotIn(secret.encode(), file.read_bytes(), file)
        self.agent.start()

    def test_2_what_is_wrong_with_it_is_said_and_changes_nothing(self):
        self.roll()
        before = self.scene.own_containers()
        place = f"{self.agent.services}/backend.yaml"

        def refused(reason, status=2):
            planned = self.agent.ctl("plan")
            self.assertIn(f"   note: it cannot be rolled out: {reason}\n", planned.stdout)
            done = self.agent.ctl("rollout", "backend")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"backend: rolled back: {reason}; every step", done.stderr)
            self.assertEqual(self.scene.own_containers(), before)
            self.assertEqual(self.agent.view("status")["notes"], [f"no rollout can start: {reason}"])
            doctor = self.agent.ctl("doctor", "--config", str(self.agent.config))
            self.assertEqual(doctor.returncode, 1)
            self.assertIn(f"compose  {reason}\n", doctor.stdout)
            checked = self.validate()
            self.assertEqual(checked.returncode, status, checked.stderr)
            self.assertIn(f": error: {reason}\n" if status else f"note: {reason}\n", checked.stderr)
            if status:
                self.assertTrue(checked.stderr.startswith(place + ":"), checked.stderr)

        self.write(api={**WEB, "tty": True})
        refused("service backend: services.api.tty is not supported: nobody sits in front of it; what the service can do without, "
                "list under compose.ignore")
        self.write(api={**WEB, "command": ["serve", "${PORT}"]})
        refused(f"service backend: services.api uses the variable PORT, which is not set in {self.shop}/.env: set it there, or give a "
                "default with ${PORT:-…}", status=0)
        compose_file = self.shop / "docker-compose.yml"
        compose_file.write_text(json.dumps({"services": {"app": {"image": "x"}}}))
        refused(f"service backend: {compose_file} has no service api; did you mean `app`?; one of a profile is there only where "
                "compose.profiles names it")
        compose_file.unlink()
        refused(f"service backend: there is no file {compose_file}: make it, or correct compose.files", status=0)
        self.write()
        (self.shop / "app.env").unlink()
        checked = self.validate()
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertRegex(checked.stderr, rf"^note: service backend: compose: Docker Compose refuses {compose_file}: .*app\.env")
        (self.shop / "app.env").write_text("TOKEN=x\n")
        self.roll()
        self.assertEqual(self.agent.view("status")["notes"], [])

    def test_3_without_compose_it_is_said_at_the_start_and_what_runs_runs_on(self):
        self.roll()
        self.agent.stop()
        path = os.environ["PATH"]
        empty = HOST / "empty"
        empty.mkdir()
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        os.environ["PATH"] = str(empty)
        self.agent.start()
        os.environ["PATH"] = path
        reason = ("service backend: compose: needs Docker Compose v2, and neither `docker compose` nor `docker-compose` is that here; install "
                  "Docker's command line and docker-compose-plugin, or write the settings under `container`")
        until(lambda: self.agent.view("status")["notes"] == [f"no rollout can start: {reason}"], "Compose to be missed")
        self.assertIn(reason, self.agent.log_text())
        self.assertEqual(self.agent.ctl("rollout", "backend").returncode, 1)
        self.assertIn("v1", self.scene.get("/api/info"))
        checked = self.validate(PATH=str(empty))
        self.assertEqual((checked.returncode, checked.stderr), (0, f"note: {reason}\n"))
        # As a program of its own, without docker.
        shutil.copy(pathlib.Path(os.environ["DOCKER_CONFIG"]) / "cli-plugins" / "docker-compose", empty / "docker-compose")
        self.roll()
        self.assertEqual(self.agent.view("status")["notes"], [])


if __name__ == "__main__":
    unittest.main()
