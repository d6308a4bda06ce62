"""Configurations that are wrong, and hosts that deployd cannot start on: refused before anything is touched."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import RELEASE  # noqa: E402
from harness.bad_input import normalised  # noqa: E402
from harness.wait import until  # noqa: E402

SECRET = "a-secret-for-the-tests-of-bad-configurations"
AGENT = """\
state: DIR/state
socket: { path: DIR/deployd.sock }
services: deploy.d
engine: unix://DIR/no-engine.sock
network: internal
proxy: { nginx: { container: nginx, upstreams: DIR/upstreams } }
"""
LLM = "service: llm\non: manual\nsource: { image: llm }\n"


class Folder(unittest.TestCase):
    """A configuration folder of its own for each test; DIR stands for it in texts."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bad-config-", dir="/run"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "upstreams").mkdir()
        (self.folder / "deploy.d").mkdir()
        self.write("agent.yaml", AGENT)
        self.write("deploy.d/llm.yaml", LLM)

    def write(self, name, text):
        (self.folder / name).write_text(text.replace("DIR", str(self.folder)))

    def run_program(self, program, *arguments, **environment):
        """(exit status, stdout, stderr) of a program that ends by itself."""
        done = subprocess.run([RELEASE / program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
                              env={**os.environ, **environment})
        return done.returncode, *(normalised(text).replace(str(self.folder), "DIR") for text in (done.stdout, done.stderr))

    def start_deployd(self):
        """A deployd that stays until the end of the test. It has no engine, and answers all the same."""
        with open(self.folder / "log", "wb") as log:
            process = subprocess.Popen([RELEASE / "deployd", "--config", self.folder / "agent.yaml"], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        until((self.folder / "deployd.sock").exists, "deployd to listen")
        return process


class BadConfiguration(Folder):
    def assert_refused(self, errors, text):
        """deployd and `deployctl validate` write the same text, end with 2, and leave the folder as it was."""
        before = sorted(self.folder.rglob("*"))
        config = self.folder / "agent.yaml"
        self.assertEqual(self.run_program("deployd", "--config", config), (2, "", text))
        counted = f"{errors} error" + ("" if errors == 1 else "s")
        self.assertEqual(self.run_program("deployctl", "validate", "--config", config),
                         (2, "", f"{text}deployctl: DIR/agent.yaml is not valid: {counted}\n"))
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_what_is_right_is_valid(self):
        self.assertEqual(self.run_program("deployctl", "validate", "--config", self.folder / "agent.yaml"),
                         (0, "DIR/agent.yaml is valid: 1 service: llm\n", ""))

    def test_broken_yaml(self):
        self.write("deploy.d/llm.yaml", "service: llm\non: manual\nsource: { image: llm\n")
        self.assert_refused(1, 
            "DIR/deploy.d/llm.yaml:4:1: error: `{` without its `}`\n"
            "  hint: a value that holds `: `, ` #`, `{`, `[`, `@`, a backtick or `%` needs quotes\n")

    def test_a_tab(self):
        self.write("deploy.d/llm.yaml", "service: llm\non: manual\nsource:\n\timage: llm\n")
        self.assert_refused(1, 
            "DIR/deploy.d/llm.yaml:4:1: error: a tab in the indentation\n"
            "  \timage: llm\n"
            "  ^\n"
            "  hint: indent with spaces\n")

    def test_an_unknown_key(self):
        self.write("agent.yaml", AGENT + "sokcet: {}\n")
        self.assert_refused(1, 
            "DIR/agent.yaml:7:1: error: `sokcet` is not a known key\n"
            "  sokcet: {}\n"
            "  ^\n"
            "  hint: did you mean `socket`?\n")

    def test_a_duplicate_key(self):
        self.write("deploy.d/llm.yaml", LLM + "on: push\n")
        self.assert_refused(1, 
            "DIR/deploy.d/llm.yaml:4:1: error: `on` is given twice\n"
            "  on: push\n"
            "  ^\n"
            "  hint: the first is on line 2: remove one\n")

    def test_a_name_that_depends_on_nothing(self):
        self.write("deploy.d/web.yaml", "service: web\non: manual\nsource: { image: web }\ndepends_on: [lml]\n")
        self.assert_refused(1, 
            "DIR/deploy.d/web.yaml:4:14: error: `depends_on` names the service `lml`, which does not exist\n"
            "  depends_on: [lml]\n"
            "               ^\n"
            "  hint: did you mean `llm`?\n")

    def test_a_database_in_depends_on(self):
        self.write("deploy.d/web.yaml", "service: web\non: manual\nsource: { image: web }\ndepends_on: [postgres]\n")
        self.assert_refused(1, 
            "DIR/deploy.d/web.yaml:4:14: error: `depends_on` names the service `postgres`, which does not exist\n"
            "  depends_on: [postgres]\n"
            "               ^\n"
            "  hint: each service that is named here has a file of its own in `services`; databases and the like are not named\n")

    def test_a_circle_of_depends_on(self):
        self.write("deploy.d/llm.yaml", LLM + "depends_on: [web]\n")
        self.write("deploy.d/web.yaml", "service: web\non: manual\nsource: { image: web }\ndepends_on: [llm]\n")
        self.assert_refused(1, 
            "DIR/deploy.d/llm.yaml:4:14: error: services depend on each other in a circle: llm -> web -> llm\n"
            "  depends_on: [web]\n"
            "               ^\n"
            "  hint: remove one of these from `depends_on`\n")

    def test_a_service_that_depends_on_itself(self):
        self.write("deploy.d/llm.yaml", LLM + "depends_on: [llm]\n")
        self.assert_refused(1, 
            "DIR/deploy.d/llm.yaml:4:14: error: services depend on each other in a circle: llm -> llm\n"
            "  depends_on: [llm]\n"
            "               ^\n"
            "  hint: remove one of these from `depends_on`\n")

    def test_all_mistakes_of_all_files_at_once(self):
        self.write("agent.yaml", AGENT + "sokcet: {}\n")
        self.write("deploy.d/llm.yaml", LLM + "replicas: many\n")
        self.write("deploy.d/web.yaml", "service: llm\non: pushed\n")
        self.assert_refused(5, 
            "DIR/agent.yaml:7:1: error: `sokcet` is not a known key\n"
            "  sokcet: {}\n"
            "  ^\n"
            "  hint: did you mean `socket`?\n"
            "DIR/deploy.d/llm.yaml:4:11: error: `replicas` must be a whole number from 1 to 100\n"
            "  replicas: many\n"
            "            ^\n"
            "DIR/deploy.d/web.yaml:1:1: error: the file misses the required key `source`\n"
            "  service: llm\n"
            "  ^\n"
            '  hint: e.g. source: { image: "owner/name:{sha}" }, or `git` to build it here\n'
            "DIR/deploy.d/web.yaml:1:10: error: a service with the name `llm` exists already\n"
            "  service: llm\n"
            "           ^\n"
            "  hint: the first is at DIR/deploy.d/llm.yaml:1\n"
            "DIR/deploy.d/web.yaml:2:5: error: `on` must be one of push, workflow_run, registry_package, manual, not `pushed`\n"
            "  on: pushed\n"
            "      ^\n"
            "  hint: did you mean `push`?\n")

    def test_a_file_that_does_not_exist(self):
        (self.folder / "agent.yaml").unlink()
        self.assert_refused(1, 
            "DIR/agent.yaml: error: there is no such file\n"
            "  hint: check the path, or pass --config\n")

    def test_a_folder_of_services_that_does_not_exist(self):
        shutil.rmtree(self.folder / "deploy.d")
        self.assert_refused(1, 
            "DIR/agent.yaml:3:11: error: the services folder DIR/deploy.d cannot be read: No such file or directory\n"
            "  services: deploy.d\n"
            "            ^\n"
            "  hint: create it, or set `services`\n")


class BadStart(Folder):
    def assert_not_started(self, message, **environment):
        """deployd ends with 1 and one line."""
        self.assertEqual(self.run_program("deployd", "--config", self.folder / "agent.yaml", **environment),
                         (1, "", f"TIME error {message}\n"))
        self.assertFalse((self.folder / "deployd.sock").exists())

    def with_agent(self, old, new):
        self.write("agent.yaml", AGENT.replace(old, new))

    def with_webhook(self, address):
        self.write("agent.yaml", f"{AGENT}webhook: {{ listen: '{address}', path: /hooks/github, secrets: [ {{ env: HOOK }} ] }}\n")

    def test_a_state_folder_that_is_a_file(self):
        self.write("state", "not a folder\n")
        self.assert_not_started("cannot create the folder DIR/state: Not a directory; run deployd as root, or set `state` in "
                                "agent.yaml to another path")
        self.assertEqual((self.folder / "state").read_text(), "not a folder\n")

    def test_a_state_folder_where_nothing_can_be_written(self):
        self.with_agent("state: DIR/state", "state: /proc/deployctl")
        self.assert_not_started("cannot create the folder /proc/deployctl: No such file or directory; run deployd as root, or set "
                                "`state` in agent.yaml to another path")

    def test_a_state_folder_of_a_file_system_that_cannot_be_written(self):
        self.with_agent("state: DIR/state", "state: /proc/sys")
        self.assert_not_started("cannot make the state folder /proc/sys private to deployd (mode 0700): Operation not permitted; "
                                "give it to the user that deployd runs as, on a file system that can be written, or set "
                                "`state` in agent.yaml to another path")

    def test_a_state_that_is_no_database(self):
        (self.folder / "state").mkdir()
        self.write("state/state.db", "these are my notes\n" * 100)
        self.assert_not_started("the state database DIR/state/state.db: file is not a database; stop deployd, move the file away, with "
                                "those beside it that end in -wal and -shm, and start it again: it goes on with the "
                                "containers that run, and the history begins anew")
        self.assertEqual((self.folder / "state" / "state.db").read_text(), "these are my notes\n" * 100)

    def test_a_second_deployd_on_the_same_state(self):
        first = self.start_deployd()
        self.write("agent.yaml", AGENT.replace("DIR/deployd.sock", "DIR/second.sock"))
        status = self.run_program("deployd", "--config", self.folder / "agent.yaml")
        self.assertEqual(status, (1, "", "TIME error another deployd is using the state folder DIR/state; stop it first, or give this one "
                                 "another `state` folder\n"))
        self.assertFalse((self.folder / "second.sock").exists())
        self.assertIsNone(first.poll())
        self.assertEqual(self.run_program("deployctl", "--socket", self.folder / "deployd.sock", "history"),
                         (0, "no rollouts\n", ""))

    def test_a_second_deployd_on_the_same_socket(self):
        first = self.start_deployd()
        self.write("agent.yaml", AGENT.replace("DIR/state", "DIR/second"))
        status = self.run_program("deployd", "--config", self.folder / "agent.yaml")
        self.assertEqual(status, (1, "", "TIME error cannot listen on DIR/deployd.sock: another process answers on it; is the agent "
                                 "running already?\n"))
        self.assertIsNone(first.poll())
        self.assertEqual(self.run_program("deployctl", "--socket", self.folder / "deployd.sock", "history"),
                         (0, "no rollouts\n", ""))

    def test_a_socket_path_that_is_a_file(self):
        self.with_agent("socket: { path: DIR/deployd.sock }", "socket: { path: DIR/agent.yaml }")
        self.assert_not_started(
            "cannot listen on DIR/agent.yaml: it exists and is not a socket; move it away or choose another path")

    def test_a_group_that_does_not_exist(self):
        self.with_agent("socket: { path: DIR/deployd.sock }", "socket: { path: DIR/deployd.sock, group: deploymen }")
        self.assert_not_started(
            'cannot listen on DIR/deployd.sock: there is no group "deploymen"; create it with: groupadd --system deploymen')

    def test_a_webhook_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.with_webhook(address)
            self.assert_not_started(
                f"cannot listen on {address}: another process uses the port; stop it or choose another port", HOOK=SECRET)

    def test_a_secret_that_is_not_set(self):
        self.with_webhook("127.0.0.1:9010")
        self.assert_not_started("the webhook secret in the environment variable HOOK is not there: set it for the agent, e.g. with "
                                "EnvironmentFile= in its systemd unit")

    def test_a_secret_that_is_too_short(self):
        self.with_webhook("127.0.0.1:9010")
        self.assert_not_started("the webhook secret in the environment variable HOOK has 7 bytes, and at least 32 are needed: make "
                                "one with `openssl rand -hex 32` and enter it at GitHub, too", HOOK="hunter2")

    def test_deployctl_without_deployd(self):
        for command in (("status",), ("rollout", "llm"), ("rollback", "llm"), ("history",)):
            self.assertEqual(
                self.run_program("deployctl", "--socket", self.folder / "deployd.sock", *command),
                (6, "", "deployctl: cannot reach deployd at DIR/deployd.sock: No such file or directory; is it running? "
                        "(systemctl status deployd, or --socket)\n"))


if __name__ == "__main__":
    unittest.main()
