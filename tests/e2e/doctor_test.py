"""deployctl doctor on a real host: nothing to say where all is in order, and what to do where it is not."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.backend import BackendCase  # noqa: E402
from harness.scene import HOST  # noqa: E402


class Doctor(BackendCase):
    def doctor(self, code):
        """The findings that are not good."""
        done = self.scene.agent.ctl("doctor", "--config", self.scene.agent.config, "-o", "json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["healthy"], code == 0)
        # Whether a time server keeps this host's clock is not the test's matter.
        return [(finding["level"], finding["subject"], finding["text"]) for finding in told["findings"]
                if finding["level"] != "good" and finding["subject"] != "clock"]

    def test_a_host_in_order(self):
        self.assertEqual([finding[:2] for finding in self.doctor(0)], [("note", "webhook")])
        status, text = self.scene.github.send(*github.push(self.scene.repos["backend"]))
        self.assertEqual(status, 202, text)
        self.assertEqual(self.doctor(0), [])
        table = self.scene.agent.ctl("doctor", "--config", self.scene.agent.config).stdout
        self.assertRegex(table, r"good +nginx +nginx/1\.[0-9.]+ in container nginx accepts its configuration")
        self.assertRegex(table, r"good +agent +deployd [0-9.]+ answers")
        self.assertRegex(table, r"good +git +1 repository and its branch was found")
        self.assertRegex(table, r"good +webhook +the last delivery came \S+ \S+, push of demo/backend: accepted")

    def test_what_is_not_in_order(self):
        main = self.scene.nginx.main
        main.write_text(main.read_text().replace("  keepalive_min_timeout 5s;\n", ""))
        self.assertEqual(self.doctor(0)[:1], [
            ("note", "nginx", "Nginx closes idle keep-alive connections at every reload, which can cost a request that is on its way; "
             'add "keepalive_min_timeout 5s;" inside http {}')])
        self.scene.agent.stop()
        self.scene.engine.call("POST", "/containers/nginx/stop", t="1")
        found = self.doctor(1)
        self.assertEqual([finding[:2] for finding in found], [("problem", "nginx"), ("problem", "agent")], found)
        self.assertEqual(found[0][2], "the Nginx container nginx is exited, not running; start it with: docker start nginx; if it ends "
                         "again, docker logs nginx says why")


    def test_what_is_outside_of_the_host(self):
        image = "127.0.0.1:5000/demo/nothing"
        self.scene.edit_service("backend", lambda text: json.dumps({
            **json.loads(text), "source": {"git": {"url": f"file://{HOST}/git/gone.git"}, "image": f"{image}:{{branch}}"}}))
        found = {subject: (level, text) for level, subject, text in self.doctor(1)}
        self.assertEqual(found["git"][0], "problem")
        self.assertTrue(found["git"][1].startswith(f"backend: cannot fetch file://{HOST}/git/gone.git: "), found["git"])
        self.assertEqual(found["registry"][0], "problem")
        self.assertTrue(found["registry"][1].startswith(f"backend: pull {image}:main: "), found["registry"])
        self.assertEqual(list(pathlib.Path(tempfile.gettempdir()).glob("deployctl-doctor-*")), [])


if __name__ == "__main__":
    unittest.main()
