"""Between rollouts: a container that comes back unhealthy gets no requests while another is healthy, and gets them back."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.scene import ROUTING  # noqa: E402
from harness.wait import until  # noqa: E402

LOOKS = 40  # seconds: the reconciler looks every half minute where nothing wakes it


class Unhealthy(BackendCase):
    settings = {**SERVICE, "replicas": 2}

    def setUp(self):
        super().setUp()
        names = sorted(self.scene.own_containers())
        self.addresses = {name: self.scene.engine.address(name, ROUTING) for name in names}
        self.first, self.second = names

    def routed(self):
        """Who gets the requests from outside and from other services, as Nginx's files say; None between the writing of the two."""
        found = []
        for file in ("backend.conf", "deployctl.conf"):
            text = (self.scene.nginx.upstreams / file).read_text()
            routed = set(re.findall(r"server (\d+\.\d+\.\d+\.\d+):8080", text))
            found.append({name for name, address in self.addresses.items() if address in routed})
        return found[0] if found[0] == found[1] else None

    def notes(self):
        return self.scene.agent.view("status")["notes"]

    def make_ill(self, name):
        self.assertEqual(self.scene.engine.exec(name, "touch", "/tmp/ill"), 0)

    def test_out_and_back(self):
        self.assertEqual(self.routed(), {self.first, self.second})
        self.make_ill(self.first)
        self.scene.engine.call("POST", f"/containers/{self.first}/restart", t=5)
        until(lambda: self.routed() == {self.second}, "the unhealthy container to lose its requests", LOOKS)
        until(lambda: f"{self.first} is not healthy and gets no traffic until it is" in "\n".join(self.notes()), "the note", LOOKS)
        for _ in range(20):
            self.assertIn("v1", self.scene.get("/api/info"))
        self.assertEqual(self.scene.engine.exec(self.first, "rm", "/tmp/ill"), 0)
        until(lambda: self.routed() == {self.first, self.second}, "the container to get requests again", LOOKS)
        until(lambda: self.notes() == [], "the note to go", LOOKS)

    def test_where_none_is_healthy_they_keep_their_requests(self):
        for name in (self.first, self.second):
            self.make_ill(name)
        self.scene.engine.call("POST", f"/containers/{self.first}/restart", t=5)
        until(lambda: any("no target of backend is healthy" in note for note in self.notes()), "deployd to see it", LOOKS)
        self.assertEqual(self.routed(), {self.first, self.second})


if __name__ == "__main__":
    unittest.main()
