"""Hooks: a dump and a migration before, a check inside the new target, a question through Nginx after the switch."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, NETWORK, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

DATA = HOST / "data"
# Each writes a line to the volume; a version may name a fault, as in serve.js.
MIGRATE = """
const fs = require('fs');
const version = fs.readFileSync('/app/VERSION', 'utf8').trim();
if (version.endsWith('nomigrate')) { console.error('the column exists already'); process.exit(3); }
const end = () => fs.appendFileSync('/data/migrations', version + '\\n');
if (version.endsWith('long')) setTimeout(end, 4000); else end();
"""
VERIFY = "process.exit(require('fs').readFileSync('/app/VERSION', 'utf8').includes(process.env.UNWANTED) ? 1 : 0)"


class Hooks(unittest.TestCase):
    def setUp(self):
        self.scene = Scene(services={"backend": SERVICE})
        self.addCleanup(self.scene.close)
        DATA.mkdir(mode=0o777)
        DATA.chmod(0o777)
        (DATA / "rows").write_text("row 1\n")
        (DATA / "hooks.env").write_text("UNWANTED=noverify\n")
        self.scene.engine.run("store", "node:local", NETWORK, ["sleep", "1000000"], [f"{DATA}:/data"])
        self.scene.start()
        self.scene.edit_service("backend", lambda _: json.dumps(self.settings(f"http://{self.scene.nginx.address}/api/health")))
        self.roll("v1")

    @staticmethod
    def settings(asked):
        return {**SERVICE, "vars": [f"{DATA}/hooks.env"], "container": {**SERVICE["container"], "volumes": [f"{DATA}:/data"]}, "hooks": {
            "before": [
                {"in": "store", "run": ["cat", "/data/rows"], "save": "backups/{revision}.txt", "keep": 2, "restore": ["tee", "/data/rows"]},
                {"run": ["node", "-e", MIGRATE], "irreversible": True}],
            "verify": [{"run": ["node", "-e", VERIFY], "environment": {"UNWANTED": "${UNWANTED}"}}],
            "after": [{"http": asked, "timeout": "5s"}]}}

    def roll(self, version, *options):
        release(self.scene.repos["backend"], version)
        return self.scene.agent.ctl("rollout", "backend", *options)

    def migrations(self):
        return (DATA / "migrations").read_text().split("\n")[:-1]

    def dumps(self):
        return sorted(file.read_text() for file in (HOST / "state" / "backups").iterdir())

    def last(self):
        last = self.scene.agent.view("history", "--limit", "1")["rollouts"][0]["id"]
        return self.scene.agent.view("show", str(last))

    def test_every_hook_once_and_in_order(self):
        (DATA / "rows").write_text("row 1\nrow 2\n")
        done = self.roll("v2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.migrations(), ["v1", "v2"])
        self.assertEqual(self.dumps(), ["row 1\n", "row 1\nrow 2\n"])
        self.assertEqual([step["kind"] for step in self.last()["steps"]],
                         ["fetch", "build", "before", "before", "create", "start", "probe", "verify", "switch", "after", "promote",
                          "drain", "stop", "remove", "prune"])
        self.assertEqual(len(self.scene.own_containers()), 1)
        # What was done to the data is not undone, so going back has to be confirmed.
        refused = self.scene.agent.ctl("rollback", "backend")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("which is irreversible; before it, ", refused.stderr)
        self.assertRegex(refused.stderr, r"read it back with: docker exec -i store tee /data/rows < \S+/backups/backend-\S+\.txt")
        self.assertRegex(refused.stderr, r"deployctl rollback backend --to \S+ --yes")
        self.assertEqual(self.scene.agent.ctl("rollback", "backend", "--yes").returncode, 0)
        self.assertIn("v1", self.scene.get("/api/info"))
        self.assertEqual(self.migrations(), ["v1", "v2"])

    def test_a_migration_that_fails_stops_the_rollout_before_any_container_of_the_new_version(self):
        live = self.scene.agent.live()
        done = self.roll("v2 nomigrate")
        self.assertEqual(done.returncode, 1, done.stderr)
        last = self.last()
        self.assertEqual(last["phase"], "rolled_back")
        self.assertRegex(last["reason"], r'(?s)^the hook "node -e .*" exited with 3$')
        self.assertIn("the column exists already", last["log"])
        self.assertEqual([step["kind"] for step in last["steps"] if step["state"] == "failed"], ["before"])
        self.assertTrue(all(not step["started"] for step in last["steps"] if step["kind"] == "create"))
        self.assertEqual(self.migrations(), ["v1"])
        self.assertEqual(self.scene.agent.live(), live)
        self.assertIn("v1", self.scene.get("/api/info"))

    def test_what_fails_takes_the_new_version_back(self):
        for version, reason, line in [("v2 nomigrate", "exited with 3", "the column exists already"), ("v2 noverify", "exited with 1", "")]:
            with self.subTest(version):
                done = self.roll(version)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(reason, done.stderr)
                self.assertIn(line, done.stderr)
                self.assertIn("v1", self.scene.get("/api/info"))
                self.assertEqual(len(self.scene.own_containers()), 1)

    def test_an_empty_dump_stops_the_rollout_before_the_migration(self):
        (DATA / "rows").write_text("")
        done = self.roll("v2")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('the hook "cat /data/rows" exited with 0 and wrote nothing', done.stderr)
        self.assertEqual(self.migrations(), ["v1"])
        self.assertEqual(self.dumps(), ["row 1\n"])

    def test_a_migration_goes_on_while_deployd_is_killed_and_runs_once(self):
        done = self.roll("v2 long", "--detach")
        self.assertEqual(done.returncode, 0, done.stderr)
        until(lambda: any("before" in name for name in self.scene.own_containers()), "the migration to begin", 60, 0.05)
        self.scene.agent.kill()
        self.scene.agent.start()
        until(lambda: self.last()["phase"] == "succeeded", "the rollout to end", 60)
        self.assertEqual(self.migrations(), ["v1", "v2 long"])
        self.assertEqual(len(self.scene.own_containers()), 1)

    def test_a_version_that_nginx_does_not_reach_is_taken_back(self):
        self.scene.edit_service("backend", lambda text: text.replace("/api/health\", \"timeout\": \"5s\"", "/api/nothing\", \"timeout\": \"2s\""))
        done = self.roll("v2")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r'the hook "GET http://\S+/api/nothing" failed for 2\.0 s: GET /api/nothing on \S+:80 answered 404')
        self.assertIn("v1", self.scene.get("/api/info"))


if __name__ == "__main__":
    unittest.main()
