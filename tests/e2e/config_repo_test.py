"""A push to the repository of this host's own files: Nginx serves with them, or everything is as it was."""

import json
import os
import pathlib
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.backend import SERVICE  # noqa: E402
from harness.load import OutsideLoad  # noqa: E402
from harness.nginx import Nginx  # noqa: E402
from harness.repos import Repo  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

APP = HOST / "app"  # the work tree
SETTINGS = {**SERVICE, "vars": [str(APP / ".env")],
            "container": {"environment": {"AI_SERVER_URL": "http://llm:8000", "GREETING": "${GREETING}"}}}


class ConfigNginx(Nginx):
    """Its nginx.conf comes from a repository, and is mounted by itself, as people do: the container sees that inode only."""

    def __init__(self, engine, folder, network, deployed):
        super().__init__(engine, folder, network, deployed)
        self.repo = Repo(HOST / "git", "infra")
        self.repo.write("nginx.conf", self.main.read_text())
        self.repo.write(".env", "GREETING=hello\n")
        self.repo.commit("first")
        subprocess.run(["git", "clone", "--quiet", self.repo.url, APP], check=True)
        self.main = APP / "nginx.conf"
        self.binds[0] = f"{self.main}:/etc/nginx/main/nginx.conf:ro"


class ConfigRepo(unittest.TestCase):
    def start(self, apply="ask", poll="0"):
        self.scene = Scene(settle="100ms", services={"backend": SETTINGS}, nginx=ConfigNginx, poll=poll)
        self.addCleanup(self.scene.close)
        self.agent, self.infra = self.scene.agent, self.scene.nginx.repo
        settings = json.loads(self.agent.config.read_text())
        settings["config_repo"] = {"repo": "demo/infra", "folder": str(APP), "url": self.infra.url, "apply": apply}
        self.agent.config.write_text(json.dumps(settings))
        self.scene.start()
        done = self.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)

    def commit(self, name, edit, push=True):
        """A commit that edits a file, and its webhook; returns its id."""
        self.infra.write(name, edit((self.infra.work / name).read_text()))
        commit = self.infra.commit(f"edit {name}")
        if push:
            status, text = self.scene.github.send(*github.push(self.infra))
            self.assertEqual(status, 202, text)
            self.assertTrue(json.loads(text)["config_change"])
        return commit

    def commit_header(self, value):
        return self.commit("nginx.conf", lambda text: text.replace(
            "    listen 80;\n", f"    listen 80;\n    add_header X-Config {value} always;\n"))

    def last(self):
        return self.agent.view("status")["config_repo"]["last"]

    def ended(self, commit):
        """The config change of the commit, once it has ended."""
        def found():
            shown = self.agent.view("status")["config_repo"]
            last = shown["last"]
            return last if shown["now"] is None and last and last["commit"] == commit else None
        return until(found, f"the config change of {commit[:7]} to end", 60)

    def header(self):
        with urllib.request.urlopen(f"http://{self.scene.nginx.address}/api/info", timeout=10) as answer:
            return answer.headers["X-Config"]

    def git(self, *arguments):
        done = subprocess.run(["git", "-C", APP, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def assert_at(self, commit):
        self.assertEqual(self.git("rev-parse", "HEAD"), commit)
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_a_change_that_works_is_served_and_no_request_fails(self):
        self.start()
        inode = os.stat(APP / "nginx.conf").st_ino
        load = OutsideLoad("outside", HOST / "load", [
            "--target", f"{self.scene.nginx.address}:80", "--rate", "200", "--connections", "16",
            "--kinds", "keepalive-get,new-get", "--get-paths", "/api/info"])
        load.start()
        for number in range(3):
            commit = self.commit("nginx.conf", lambda text: f"{text}# {number}\n")
            self.assertEqual(self.ended(commit)["phase"], "applied")
        commit = self.commit_header("v2")
        change = self.ended(commit)
        self.assertEqual(change["phase"], "applied", change)
        self.assertEqual(change["reason"], f"{APP} is at {commit[:7]}, which changes 1 file; Nginx serves with it")
        self.assertEqual(self.header(), "v2")
        report = load.stop()
        self.assertEqual(report["failed"], 0, report)
        self.assertGreater(report["requests"], 100, report)
        self.assert_at(commit)
        self.assertEqual(os.stat(APP / "nginx.conf").st_ino, inode)
        shown = self.agent.ctl("status").stdout
        self.assertIn(f"\nconfig: main of demo/infra in {APP}; change 4 ({commit[:7]}) applied ", shown)
        kinds = [json.loads(line)["kind"] for line in self.events()]
        self.assertEqual([kind for kind in kinds if kind.startswith("config.")], ["config.started", "config.ended"] * 4)

    def events(self):
        done = subprocess.run(["curl", "--silent", "--unix-socket", self.agent.socket, "http://deployd/v1/events"],
                              check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    def test_a_change_that_breaks_nginx_is_put_back_and_reported(self):
        self.start()
        before = self.git("rev-parse", "HEAD")
        text = (APP / "nginx.conf").read_text()
        bad = self.commit("nginx.conf", lambda text: text.replace("events {", "a_directive_nobody_knows on;\nevents {"))
        change = self.ended(bad)
        self.assertEqual(change["phase"], "rolled_back")
        self.assertRegex(change["reason"],
                         r'^nginx -t in container nginx refuses the new files: .*unknown directive "a_directive_nobody_knows" in '
                         r"/etc/nginx/main/nginx.conf:4\nnginx: configuration file /etc/nginx/main/nginx.conf test failed; "
                         r"the earlier files are back$")
        self.assertEqual((APP / "nginx.conf").read_text(), text)
        self.assert_at(before)
        self.assertIn('"v1"', self.scene.get("/api/info"))
        self.assertIn(f"({bad[:7]}) rolled back ", self.agent.ctl("status").stdout)
        # A service can be rolled out meanwhile, and deployd restarted: the failure stays on the status.
        self.assertEqual(self.agent.ctl("rollout", "backend").returncode, 0)
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.assertEqual(self.last()["phase"], "rolled_back")
        # What `nginx -t` accepts and Nginx cannot load is put back, too.
        zone = "limit_req_zone $binary_remote_addr zone=one:1m rate=1000r/s;\n"
        before = self.commit("nginx.conf", lambda text: text.replace("a_directive_nobody_knows on;\n", "").replace("  server {\n", zone + "  server {\n"))
        self.assertEqual(self.ended(before)["phase"], "applied")
        unloadable = self.commit("nginx.conf", lambda text: text.replace("$binary_remote_addr", "$request_uri"))
        change = self.ended(unloadable)
        self.assertEqual(change["phase"], "rolled_back", change)
        self.assertIn("was told to reload and did not prove the new configuration within 10 s", change["reason"])
        self.assertIn('limit_req "one" uses the "$request_uri" key while previously it used the "$binary_remote_addr" key', change["reason"])
        self.assertTrue(change["reason"].endswith("; the earlier files are back and loaded"), change)
        self.assert_at(before)
        # And a repair is applied.
        good = self.commit("nginx.conf", lambda text: text.replace("$request_uri", "$binary_remote_addr").replace(
            "    listen 80;\n", "    listen 80;\n    add_header X-Config good always;\n"))
        self.assertEqual(self.ended(good)["phase"], "applied")
        self.assertEqual(self.header(), "good")
        self.assert_at(good)

    def test_a_changed_setting_shows_in_plan_and_is_rolled_out_when_asked(self):
        self.start()
        self.assertEqual(self.agent.ctl("plan").returncode, 0)
        live = self.agent.live()["backend"]
        commit = self.commit(".env", lambda _: "GREETING=good day\n")
        change = self.ended(commit)
        self.assertEqual(change["phase"], "applied")
        self.assertTrue(change["reason"].endswith(
            "; `deployctl plan` shows other settings of backend, and this brings them: deployctl rollout backend"), change)
        self.assertEqual(self.agent.live()["backend"], live)
        plan = self.agent.ctl("plan")
        self.assertEqual(plan.returncode, 10)
        self.assertIn("a variable that the file names has another value", plan.stdout)
        self.assertEqual(self.agent.ctl("rollout", "backend").returncode, 0)
        self.assertEqual(self.agent.ctl("plan").returncode, 0)
        self.assertEqual(self.greeting(), "good day")

    def test_a_changed_setting_is_rolled_out_where_that_is_configured(self):
        self.start(apply="rollout")
        version = self.agent.live()["backend"]["commit"]
        commit = self.commit(".env", lambda _: "GREETING=good day\n")
        change = self.ended(commit)
        self.assertTrue(change["reason"].endswith("; with other settings these are rolled out: backend"), change)
        rollout = until(lambda: next((r for r in self.agent.rollouts() if r["cause"].startswith("config change") and r["finished"]), None),
                        "the rollout of the new settings", 60)
        self.assertEqual((rollout["phase"], rollout["cause"]), ("succeeded", f"config change 1, commit {commit[:7]}"))
        self.assertEqual(self.agent.live()["backend"]["commit"], version)
        self.assertEqual(self.greeting(), "good day")
        self.assertEqual(self.agent.ctl("plan").returncode, 0)

    def greeting(self):
        name, = (name for name in self.scene.own_containers() if name.startswith("backend"))
        environment = self.scene.engine.call("GET", f"/containers/{name}/json")["Config"]["Env"]
        return next(entry.split("=", 1)[1] for entry in environment if entry.startswith("GREETING="))

    def test_a_change_made_by_hand_is_not_lost_and_a_missed_push_is_found(self):
        self.start(poll="1s")
        before = self.git("rev-parse", "HEAD")
        text = (APP / "nginx.conf").read_text()
        mine = text + "# mine\n"
        (APP / "nginx.conf").write_text(mine)
        commit = self.commit_header("v2")
        change = self.ended(commit)
        self.assertEqual((change["phase"], change["reason"]), (
            "refused", f"the pull would overwrite what was changed by hand in {APP}: nginx.conf; commit and push it, or put it "
            "back: git show HEAD:FILE > FILE there keeps the file that a container may have mounted, git checkout does not"))
        self.assertEqual((APP / "nginx.conf").read_text(), mine)
        self.assertEqual(self.git("rev-parse", "HEAD"), before)
        # Polling goes on with it once it can.
        (APP / "nginx.conf").write_text(text)
        until(lambda: self.last()["phase"] == "applied", "polling to pull what was refused", 60)
        self.assertEqual(self.header(), "v2")
        self.assert_at(commit)
        missed = self.commit("nginx.conf", lambda text: text.replace("X-Config v2", "X-Config v3"), push=False)
        self.assertEqual(self.ended(missed)["cause"], f"poll: main of demo/infra is at {missed[:7]}")
        self.assertEqual(self.header(), "v3")

    def test_a_file_that_nginx_does_not_see_is_not_said_to_be_served(self):
        self.start()
        before = self.git("rev-parse", "HEAD")
        (APP / "nginx.conf").unlink()
        self.git("checkout", "--", "nginx.conf")  # another inode than the one that the container has
        hidden = self.commit_header("v2")
        change = self.ended(hidden)
        self.assertEqual(change["phase"], "rolled_back", change)
        self.assertTrue(change["reason"].startswith("Nginx in container nginx still reads the earlier text of nginx.conf: "), change)
        self.assert_at(before)
        self.scene.engine.call("POST", "/containers/nginx/restart", t="1")
        until(self.scene.nginx.listening, "Nginx to listen")
        commit = self.commit("nginx.conf", lambda text: text.replace("X-Config v2", "X-Config v3"))
        self.assertEqual(self.ended(commit)["phase"], "applied")
        self.assertEqual(self.header(), "v3")

    def test_a_kill_in_the_middle_converges(self):
        self.start()
        for number, value in enumerate(("v2", "v3", "v4")):
            before = (APP / "nginx.conf").read_text()
            if number == 0:
                commit = self.commit_header(value)
            else:
                commit = self.commit("nginx.conf", lambda text: text.replace(f"X-Config v{number + 1}", f"X-Config {value}"))
            if value == "v4":
                until(lambda: self.header() == value, "Nginx to serve with it", 30, 0)
            else:
                until(lambda: (APP / "nginx.conf").read_text() != before, "the file to be written", 30, 0)
            self.agent.kill()
            self.assertIn('"v1"', self.scene.get("/api/info"))
            self.agent.start()
            self.assertEqual(self.ended(commit)["phase"], "applied")
            self.assertEqual(self.header(), value)
            self.assert_at(commit)
        good = (APP / "nginx.conf").read_text()
        bad = self.commit("nginx.conf", lambda text: "a_directive_nobody_knows on;\n" + text)
        until(lambda: (APP / "nginx.conf").read_text() != good, "the file to be written", 30, 0)
        self.agent.kill()
        self.agent.start()
        self.assertEqual(self.ended(bad)["phase"], "rolled_back")
        self.assertEqual((APP / "nginx.conf").read_text(), good)
        self.assert_at(commit)
        self.assertEqual(self.header(), "v4")
        self.assertEqual(self.agent.ctl("rollout", "backend").returncode, 0)


if __name__ == "__main__":
    unittest.main()
