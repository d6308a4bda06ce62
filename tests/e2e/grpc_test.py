"""gRPC between services: calls and streams go on through rollouts of the service that they call."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import APPS  # noqa: E402
from harness.backend import SERVICE  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, NETWORK, ROUTING, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

GREETER = {
    "service": "greeter",
    "on": "manual",
    "source": {"git": {"url": f"file://{HOST}/git/greeter.git"}},
    "health": {"tcp": 50051, "interval": "100ms", "deadline": "10s"},
    "drain": "10s",
    "proxy": {"port": 50051, "protocol": "grpc"},
}


class Grpc(unittest.TestCase):
    def test_calls_and_streams_go_on(self):
        scene = Scene(services={"greeter": GREETER, "backend": SERVICE})
        self.addCleanup(scene.close)
        scene.start()
        self.roll(scene)
        scene.engine.run("calls", "node:local", NETWORK, ["node", "/calls.js"], [f"{APPS}/greeter/calls.js:/calls.js:ro"], also=[ROUTING])
        for version in ("v2", "v3", "v4"):
            release(scene.repos["greeter"], version)
            self.roll(scene)
        scene.engine.signal("calls", "SIGTERM")
        until(lambda: not scene.engine.inspect("calls")["State"]["Running"], "the clients to end")
        told = json.loads(scene.engine.logs("calls").strip().splitlines()[-1])
        self.assertEqual((told["failed"], told["errors"]), (0, []), told)
        self.assertEqual(sorted(told["versions"]), ["v1", "v2", "v3", "v4"])
        self.assertGreater(told["said"], 200, told)
        self.assertGreater(told["streamed"], 4, told)
        self.assertLess(told["refused"], told["said"] / 50, told)

    def roll(self, scene):
        done = scene.agent.ctl("rollout", "greeter")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
