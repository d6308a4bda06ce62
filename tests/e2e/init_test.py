"""`deployctl init` on a host that has never seen deployctl, and the first rollout after it, under load."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.behindy import HOST, Behindy  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.wait import until  # noqa: E402


class Init(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.host = Behindy()
        self.addCleanup(self.host.close)
        self.host.start()

    def test_adopted_and_rolled_out_without_a_lost_request(self):
        host = self.host
        before = host.files()
        shown = host.init()
        print(shown.stdout, shown.stderr, file=sys.stderr)
        self.assertEqual(shown.returncode, 10, shown.stderr)
        self.assertEqual(host.files(), before)
        self.assertIn("GET /actuator/health on port 8080 is answered 404", shown.stderr)

        load = host.load()
        load.start()
        done = host.init("--write")
        self.assertEqual(done.returncode, 0, done.stderr)
        again = host.init("--write")
        self.assertEqual((again.returncode, again.stdout), (0, ""), again.stderr)
        host.agent.start()
        until(lambda: all(host.agent.live().values()), "the containers to be taken up")
        self.assertEqual(host.init("--write").returncode, 0)
        print(host.agent.ctl("status").stdout, host.agent.log_text(), file=sys.stderr)

        release(host.repos["backend"], "v2")
        host.publish("backend")
        rolled = host.agent.ctl("rollout", "backend")
        self.assertEqual(rolled.returncode, 0, rolled.stderr + host.agent.log_text())
        self.assertIn("v2", host.get("/api/info"))
        self.assertNotIn("backend", host.containers())
        back = host.agent.ctl("rollback", "backend")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("v1", host.get("/api/info"))
        report = load.stop()
        self.assertEqual(report["failed"], 0, report)
        self.assertEqual(host.containers()["db"], "running")


if __name__ == "__main__":
    unittest.main()
