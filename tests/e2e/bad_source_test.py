"""Sources that cannot be fetched, built or pulled."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.bad_input import BadInputCase, normalised  # noqa: E402
from harness.scene import HOST  # noqa: E402
from harness.ssh import SshServer  # noqa: E402

REMOTE = HOST / "git" / "frontend.git"
MEGABYTE = 1 << 20


class BadBuild(BadInputCase):
    def test_a_missing_dockerfile(self):
        self.break_the_repository("Dockerfile", None)
        self.assert_rolled_back('there is no file Dockerfile in folder "." of commit COMMIT; set source.git.context and '
                                "source.git.dockerfile to where the Dockerfile is")

    def test_a_build_that_fails(self):
        self.break_the_repository("Dockerfile", "FROM busybox:local\nRUN echo the compiler is out of breath; exit 7\n")
        self.assert_rolled_back(
            "build deployctl/frontend:frontend-COMMIT-CONFIG: /bin/sh -c echo the compiler is out of breath; exit 7 FAILED: "
            "exit code: 7; it wrote last:\n  the compiler is out of breath",
            log=["[1/2] FROM docker.io/library/busybox:local", "[2/2] RUN echo the compiler is out of breath; exit 7",
                 "the compiler is out of breath"])

    def test_a_dockerfile_with_an_unknown_instruction(self):
        self.break_the_repository("Dockerfile", "FROM busybox:local\nFROBNICATE true\n")
        self.assert_rolled_back(
            "build deployctl/frontend:frontend-COMMIT-CONFIG: Dockerfile:2: unknown instruction: FROBNICATE; correct that line and push "
            "again")

    def test_a_base_image_that_cannot_be_pulled(self):
        self.break_the_repository("Dockerfile", "FROM 127.0.0.1:5000/demo/no-such-base:1\n")
        self.assert_rolled_back(
            "build deployctl/frontend:frontend-COMMIT-CONFIG: 127.0.0.1:5000/demo/no-such-base:1: not found; check the name "
            "after FROM in Dockerfile, and that the image was pushed")

    def test_a_file_to_copy_that_is_not_there(self):
        self.break_the_repository("Dockerfile", "FROM busybox:local\nCOPY dist /srv\n")
        self.assert_rolled_back(
            'build deployctl/frontend:frontend-COMMIT-CONFIG: the build context has no "/dist"; what Dockerfile copies must be '
            "committed, inside source.git.context, and not left out by .dockerignore",
            log=["[1/2] FROM docker.io/library/busybox:local", "[2/2] COPY dist /srv"])

    def test_a_stage_that_does_not_exist(self):
        self.with_settings(source={"git": {"url": self.repo.url, "target": "prod"}})
        self.repo.commit("Give the build something to do")
        self.assert_rolled_back(
            "build deployctl/frontend:frontend-COMMIT-CONFIG: target stage prod could not be found; set source.git.target to a "
            "stage that Dockerfile has")


class BadRemote(BadInputCase):
    def with_url(self, url, **more):
        self.with_settings(source={"git": {"url": url, **more}})

    def test_a_folder_that_does_not_exist(self):
        self.with_url(f"file://{HOST}/git/nowhere.git")
        self.assert_rolled_back(
            "cannot fetch file:///run/demo/git/nowhere.git: there is no repository that can be read; check the path and its "
            "permissions (failed to resolve path '/run/demo/git/nowhere.git': No such file or directory)")

    def test_a_server_that_does_not_answer(self):
        self.with_url("https://127.0.0.1:1/demo/frontend.git")
        self.assert_rolled_back(
            "cannot fetch https://127.0.0.1:1/demo/frontend.git: cannot reach 127.0.0.1 (failed to connect to 127.0.0.1: "
            "Connection refused); check the address and the network")

    def test_a_server_whose_name_is_unknown(self):
        self.with_url("https://git.invalid/demo/frontend.git")
        self.assert_rolled_back(
            "cannot fetch https://git.invalid/demo/frontend.git: cannot reach git.invalid (failed to resolve address for "
            "git.invalid: Temporary failure in name resolution); check the address and the network")

    def assert_not_in_the_repository(self, name, command=("rollout", "frontend")):
        self.repo.commit("Give the fetch something to receive")
        self.assert_rolled_back(
            f"there is no branch, tag or commit {name} in file:///run/demo/git/frontend.git; check the name, and that it was pushed",
            command=command)

    def test_a_branch_that_does_not_exist(self):
        self.with_settings(branch="mian")
        self.assert_not_in_the_repository("mian")

    def test_a_ref_that_does_not_exist(self):
        self.assert_not_in_the_repository("v9.9", ("rollout", "frontend", "--ref", "v9.9"))

    def test_a_full_disk_for_the_mirror(self):
        mirrors = HOST / "state" / "git"
        # It does not compress.
        self.break_the_repository("VERSION", "v2\n")
        self.repo.write("photo", subprocess.run(["openssl", "rand", "-base64", str(MEGABYTE)], check=True, text=True,
                                                capture_output=True).stdout)
        self.repo.commit("Add a photo")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mirrors], check=True)
        self.addCleanup(subprocess.run, ["umount", mirrors], check=True)
        self.assert_rolled_back("cannot fetch file:///run/demo/git/frontend.git: cannot write /run/demo/state/git/MIRROR.git: No "
                                "space left on device; free some space and try again",
                                log=["received N of N objects, N MB"])


class BadSsh(BadInputCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = SshServer(HOST / "ssh")
        cls.addClassCleanup(cls.server.close)
        cls.key = cls.server.make_key("deploy")
        cls.server.accept(cls.key)
        cls.url = cls.server.url(REMOTE)

    def with_key(self, key, known_hosts, url=None):
        self.with_settings(source={"git": {"url": url or self.url, "ssh_key": str(key), "ssh_known_hosts": str(known_hosts)}})

    def assert_cannot_fetch(self, reason):
        expected = reason.replace("PORT", str(self.server.port))
        self.assert_rolled_back(f"cannot fetch {self.url}: {expected}")

    def test_a_key_that_the_server_refuses(self):
        self.with_key(self.server.make_key("stranger"), self.server.known_hosts("known_hosts"))
        self.assert_cannot_fetch(
            "127.0.0.1 refused the key /run/demo/ssh/stranger for user root; add its public half to the repository as a deploy key")

    def test_a_key_that_does_not_exist(self):
        self.with_key(HOST / "ssh" / "nowhere", self.server.known_hosts("known_hosts"))
        self.assert_cannot_fetch("cannot read /run/demo/ssh/nowhere: No such file or directory; see `ssh_key`")

    def test_a_host_that_is_not_known(self):
        empty = self.server.folder / "empty"
        empty.write_text("")
        self.with_key(self.key, empty)
        self.assert_cannot_fetch(
            "the host key of 127.0.0.1 is not in /run/demo/ssh/empty; its fingerprint is SHA256:FINGERPRINT: if its operator "
            "publishes the same, run: ssh-keyscan -p PORT 127.0.0.1 >> /run/demo/ssh/empty")

    def test_a_host_key_that_changed(self):
        other = self.server.make_key("other_host")
        self.with_key(self.key, self.server.known_hosts("changed", other))
        self.assert_cannot_fetch(
            "the host key of 127.0.0.1 is not the one in /run/demo/ssh/changed: somebody may be in between; its fingerprint is "
            "SHA256:FINGERPRINT: if its operator confirms that it was changed to this, remove the old line and run: "
            "ssh-keyscan -p PORT 127.0.0.1 >> /run/demo/ssh/changed")

    def test_a_known_hosts_file_that_does_not_exist(self):
        self.with_key(self.key, HOST / "ssh" / "nowhere")
        self.assert_cannot_fetch(
            "cannot read /run/demo/ssh/nowhere: No such file or directory; run: ssh-keyscan -p PORT 127.0.0.1 > "
            "/run/demo/ssh/nowhere, and compare what ssh-keygen -lf /run/demo/ssh/nowhere prints with the fingerprints that the "
            "server's operator publishes")

    def test_a_repository_that_the_server_does_not_have(self):
        url = self.server.url(HOST / "git" / "nowhere.git")
        self.with_key(self.key, self.server.known_hosts("known_hosts"), url)
        self.assert_rolled_back(f"cannot fetch {url}: 127.0.0.1 has no such repository, or does not show it to this key; check "
                                "the address and that the key may read it")

    def test_the_right_key_for_the_known_host_deploys(self):
        """What is wrong above is the key and the host key, and nothing else."""
        self.with_key(self.key, self.server.known_hosts("known_hosts"))
        done = self.agent.ctl("rollout", "frontend")
        self.assertEqual(done.returncode, 0, normalised(done.stderr))


class BadImage(BadInputCase):
    def test_a_registry_that_does_not_answer(self):
        self.with_settings(source={"image": "127.0.0.1:1/demo/frontend:latest"})
        self.assert_rolled_back(
            'pull 127.0.0.1:1/demo/frontend:latest: the registry does not answer: Get "http://127.0.0.1:1/v2/": dial tcp '
            "127.0.0.1:1: connect: connection refused; check its address, that it runs, and that Docker on this host reaches it: "
            "docker pull 127.0.0.1:1/demo/frontend:latest")

    def test_an_image_that_does_not_exist(self):
        self.with_settings(source={"image": "127.0.0.1:5000/demo/nothing:latest"})
        self.assert_rolled_back(
            "pull 127.0.0.1:5000/demo/nothing:latest: manifest for 127.0.0.1:5000/demo/nothing:latest not found: manifest "
            "unknown: manifest unknown; check the image's name and tag, and that it was pushed")

    def test_a_reference_that_is_none(self):
        before = self.agent.rollouts()
        done = self.agent.ctl("rollout", "frontend", "--image", "Not An Image")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (2, "", 'deployctl: "Not An Image" is not an image reference; write it as repository:tag or '
                          "repository@sha256:digest\n"))
        self.assertEqual(self.agent.rollouts(), before)


if __name__ == "__main__":
    unittest.main()
