"""Upstream files that somebody removed, as `git clean` does: Nginx does not start without them, and gets them back."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import BackendCase  # noqa: E402
from harness.wait import until  # noqa: E402


class LostFiles(BackendCase):
    def test_a_restart_without_the_files(self):
        nginx, engine = self.scene.nginx, self.scene.engine
        engine.call("POST", "/containers/nginx/update", {"RestartPolicy": {"Name": "unless-stopped"}})
        for file in nginx.upstreams.iterdir():
            if file.name != "frontend.conf":  # the users' own
                file.unlink()
        engine.call("POST", "/containers/nginx/restart", t="1")
        until(self.answers, "the service to be reached again", 60)
        until(lambda: (nginx.upstreams / "deployctl.conf").exists(), "all files to be back", 60)
        self.assertEqual(self.scene.agent.live()["backend"]["revision"][:8], "backend-")

    def answers(self):
        try:
            return "v1" in self.scene.get("/api/info")
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
