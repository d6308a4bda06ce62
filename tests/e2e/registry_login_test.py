"""A registry that wants a login: by agent.yaml, by what `docker login` has written, and by a credential helper."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.registry import PASSWORD, USER, Registry  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402

HOST_NAME = "127.0.0.1:5002"
IMAGE = f"{HOST_NAME}/demo/backend"
HELPER = """#!/bin/sh
read -r server
test "$1" = get || exit 2
echo "$server" >> {folder}/asked
cat {folder}/answer
exit $(cat {folder}/status)
"""


class RegistryLogin(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = HOST.parent / "login"
        cls.folder.mkdir()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        # deployd finds the helper in its PATH.
        helper = cls.folder / "docker-credential-test"
        helper.write_text(HELPER.format(folder=cls.folder))
        helper.chmod(0o755)
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{cls.folder}:{before}"
        cls.addClassCleanup(os.environ.__setitem__, "PATH", before)
        cls.scene = Scene(services={"backend": {**SERVICE, "source": {"image": f"{IMAGE}:{{sha}}"}}})
        cls.addClassCleanup(cls.scene.close)
        cls.agent = cls.scene.agent
        cls.locked = Registry(cls.folder / "registry", 5002, login=True)
        cls.locked.start()
        cls.addClassCleanup(cls.locked.stop)
        cls.scene.start()

    def settings(self, **changes):
        """Runs deployd with these keys of agent.yaml, and a config.json that only this test knows."""
        settings = json.loads(self.agent.config.read_text())
        for key in ("registries", "docker_config"):
            settings.pop(key, None)
        self.agent.config.write_text(json.dumps({**settings, "docker_config": str(self.folder / "config.json"), **changes}))
        self.agent.stop()
        self.agent.start()

    def docker_config(self, value):
        (self.folder / "config.json").write_text(json.dumps(value))

    def helper(self, answer, status=0):
        (self.folder / "answer").write_text(answer)
        (self.folder / "status").write_text(str(status))

    def roll(self, version):
        """Publishes a version under its commit, and rolls it out. No other test's image has its layers: they have to be pulled."""
        repo = self.scene.repos["backend"]
        commit = release(repo, version)
        reference = f"{IMAGE}:{commit}"
        self.scene.engine.build(repo.work, reference)
        self.scene.engine.push(IMAGE, commit, (USER, PASSWORD))
        self.scene.engine.remove_image(reference)
        return self.agent.ctl("rollout", "backend", "--image", reference)

    def assert_goes_out(self, version):
        done = self.roll(version)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f'"{version}"', self.scene.get("/api/info"))
        rollout = self.agent.rollouts()[-1]["id"]
        log = self.agent.ctl("logs", str(rollout)).stdout
        self.assertIn("Pulling from", log)
        self.assertRegex(log, r"layer \d+ of \d+: ")

    def assert_refused(self, version, reason):
        done = self.roll(version)
        self.assertEqual(done.returncode, 1, done.stderr)
        said = self.agent.rollouts()[-1]["reason"]
        said = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", said).replace(str(self.folder), "FOLDER")
        # The engine's words: with a wrong login, and without one.
        said = re.sub(r'(Head "[^"]*": )?(unauthorized: authentication required|no basic auth credentials)', "REFUSED", said)
        self.assertEqual(said, reason)

    def tearDown(self):
        """The password is in no log, database, label or argument."""
        found = subprocess.run(["grep", "-rlaF", "-e", PASSWORD, "-e", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
                                HOST / "state", self.agent.log], capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stdout), (1, ""))
        (self.folder / "config.json").unlink(missing_ok=True)

    def test_1_a_login_of_agent_yaml(self):
        (self.folder / "password").write_text(PASSWORD + "\n")
        self.settings(registries=[{"host": HOST_NAME, "username": USER, "password": {"file": str(self.folder / "password")}}])
        self.assert_goes_out("v1-login")
        # It is read at each pull: no restart.
        (self.folder / "password").write_text("wrong-one\n")
        self.assert_refused("v2", f"pull {IMAGE}:COMMIT: REFUSED; check the image's name; the login for {HOST_NAME} in "
                            "`registries` in agent.yaml was sent: check its user name and password, and that it may read the image")
        (self.folder / "password").unlink()
        self.assert_refused("v2", f"pull {IMAGE}:COMMIT: REFUSED; check the image's name; {HOST_NAME} was asked without a login, because "
                            "the password file FOLDER/password cannot be read: No such file or directory: check the path under "
                            "`registries.password` and the file's permissions")
        self.assertIn('"v1-login"', self.scene.get("/api/info"))

    def test_2_what_docker_login_has_written(self):
        self.docker_config({"auths": {HOST_NAME: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}})
        self.settings()
        self.assert_goes_out("v3-login")
        self.docker_config({"auths": {HOST_NAME: {"auth": base64.b64encode(f"{USER}:wrong".encode()).decode()}}})
        self.assert_refused("v4", f"pull {IMAGE}:COMMIT: REFUSED; check the image's name; the login for {HOST_NAME} in "
                            "FOLDER/config.json was sent: check its user name and password, and that it may read the image")

    def test_3_a_credential_helper(self):
        self.docker_config({"credHelpers": {HOST_NAME: "test"}})
        self.settings()
        self.helper(json.dumps({"ServerURL": HOST_NAME, "Username": USER, "Secret": PASSWORD}))
        self.assert_goes_out("v5-login")
        self.assertEqual(set((self.folder / "asked").read_text().split()), {HOST_NAME})
        self.helper("the key ring is locked\n", 1)
        begin = f"pull {IMAGE}:COMMIT: REFUSED; check the image's name; {HOST_NAME} was asked without a login, because "
        self.assert_refused("v6", f"{begin}docker-credential-test, which FOLDER/config.json names, ended with 1: the key ring is locked; "
                            f"try it by hand: echo {HOST_NAME} | docker-credential-test get")
        self.docker_config({"credsStore": "nowhere"})
        self.assert_refused("v6", f"{begin}docker-credential-nowhere, which FOLDER/config.json names, is not in PATH; install it, or name a "
                            "login in agent.yaml under `registries`")

    def test_4_no_login_at_all(self):
        self.settings()
        self.assert_refused("v7", f"pull {IMAGE}:COMMIT: REFUSED; check the image's name; {HOST_NAME} was asked without a login: name one "
                            f"in agent.yaml under `registries`, or run `docker login {HOST_NAME}` on this host as deployd's user")

    def test_5_a_private_base_image(self):
        self.docker_config({"auths": {HOST_NAME: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}})
        engine = self.scene.engine
        base = f"{HOST_NAME}/demo/base"
        engine.call("POST", "/images/node:local/tag", repo=base, tag="1")
        engine.push(base, "1", (USER, PASSWORD))
        engine.remove_image(f"{base}:1")
        repo = self.scene.repos["backend"]
        dockerfile = (repo.work / "Dockerfile").read_text()
        self.addCleanup(repo.write, "Dockerfile", dockerfile)
        repo.write("Dockerfile", dockerfile.replace("FROM node:local", f"FROM {base}:1"))
        release(repo, "v8")
        self.addCleanup(self.scene.edit_service, "backend", lambda _: json.dumps({**SERVICE, "source": {"image": f"{IMAGE}:{{sha}}"}}))
        self.scene.edit_service("backend", lambda _: json.dumps(SERVICE))
        self.settings()
        done = self.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"v8"', self.scene.get("/api/info"))


if __name__ == "__main__":
    unittest.main()
