"""Versions that do not work, and versions that cannot be had any more."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.bad_input import SERVICE, BadInputCase  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST  # noqa: E402


def push_image(scene, tag, instructions):
    """Builds a small image that only the registry has; returns its reference."""
    folder = HOST / "images" / tag
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM busybox:local\n{instructions}")
    name = f"{scene.registry.address}/demo/frontend"
    scene.engine.build(folder, f"{name}:{tag}")
    scene.engine.push(name, tag)
    scene.engine.remove_image(f"{name}:{tag}")
    return f"{name}:{tag}"


class BadVersion(BadInputCase):
    # With a restart policy, how an app that exits is found depends on who is quicker: a probe, or the engine.
    settings = {**SERVICE, "container": {"restart": "no"}}

    def test_a_container_that_exits_at_once(self):
        release(self.repo, "v2 crash")
        self.assert_rolled_back(
            "frontend-COMMIT-CONFIG-ROLLOUT-1 is not healthy: the container exited with code 3 after TIME",
            log=["cannot start: the database schema is newer than this version"])

    def test_a_pulled_image_that_exits_at_once_leaves_no_image(self):
        image = push_image(self.scene, "crash", "CMD echo cannot start: the cache is read-only; exit 3\n")
        self.assert_rolled_back(
            "frontend-COMMIT-CONFIG-ROLLOUT-1 is not healthy: the container exited with code 3 after TIME",
            log=["cannot start: the cache is read-only"],
            command=("rollout", "frontend", "--image", image))

    def test_a_port_that_nobody_listens_on(self):
        release(self.repo, "v2 deaf")
        self.assert_rolled_back(
            "frontend-COMMIT-CONFIG-ROLLOUT-1 is not healthy: not healthy within 3 s: GET /health on port 3000: connection "
            "refused: nothing listens on port 3000 of the container's network address; does the app use another port, or "
            "127.0.0.1 in place of 0.0.0.0?")

    def test_a_version_that_is_never_healthy(self):
        release(self.repo, "v2 unhealthy")
        self.assert_rolled_back(
            "frontend-COMMIT-CONFIG-ROLLOUT-1 is not healthy: not healthy within 3 s: GET /health on port 3000 answered 503: "
            '"{"status":"DOWN"}"',
            log=["health check: the connection pool is exhausted"])

    def test_a_rollback_with_nothing_to_roll_back_to(self):
        self.assert_refused(2, "deployctl: frontend has no earlier revision to roll back to\n", "rollback", "frontend")

    def test_a_rollback_to_a_revision_that_does_not_exist(self):
        self.assert_refused(2, 'deployctl: frontend cannot be rolled back to "nonsense"; what is left: nothing\n',
                            "rollback", "frontend", "--to", "nonsense")

    def test_a_service_that_does_not_exist(self):
        for command in (("rollout", "frontnd"), ("rollback", "frontnd"), ("rollout", "frontend", "frontnd")):
            self.assert_refused(2, 'deployctl: there is no service "frontnd"; there are: frontend\n', *command)


class LostImage(BadInputCase):
    """Each rolls back to a version whose image is not on the host any more: it is made again, or the old one serves on."""

    def deploy(self, *arguments):
        done = self.agent.ctl("rollout", "frontend", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_1_an_image_built_here_and_removed_by_hand(self):
        first = self.agent.live()["frontend"]
        release(self.repo, "v2")
        self.deploy()
        type(self).serving = "frontend v2"
        self.scene.engine.remove_image(first["image"])
        done = self.agent.ctl("rollback", "frontend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.agent.live()["frontend"]["revision"], first["revision"])
        type(self).serving = "frontend v1"
        self.assertIn("frontend v1", self.scene.get("/"))
        self.assertIn(f"image: {first['image']}, built again", done.stderr)

    def test_2_a_pulled_image_that_the_registry_does_not_give_any_more(self):
        engine, registry = self.scene.engine, self.scene.registry
        asked = push_image(self.scene, "v3", "RUN mkdir /www && echo ok >/www/health\n"
                           'CMD ["httpd", "-f", "-p", "3000", "-h", "/www"]\n')
        self.deploy("--image", asked)
        pulled = self.agent.live()["frontend"]["image"]
        release(self.repo, "v4")
        self.deploy()
        type(self).serving = "frontend v4"
        for image in (pulled, asked):
            engine.remove_image(image)
        registry.stop()
        self.addCleanup(registry.start)
        self.assert_rolled_back(
            "pull 127.0.0.1:5000/demo/frontend@sha256:DIGEST: the registry does not answer: Get "
            '"http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused; check its address, that it runs, '
            "and that Docker on this host reaches it: docker pull 127.0.0.1:5000/demo/frontend@sha256:DIGEST",
            command=("rollback", "frontend"))


if __name__ == "__main__":
    unittest.main()
