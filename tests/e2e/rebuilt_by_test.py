"""A service that another repository rebuilds: its Dockerfile takes a file of that one while it builds."""

import functools
import http.server
import ipaddress
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.backend import SERVICE  # noqa: E402
from harness.repos import Repo, release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

# What is fetched stands before what is copied, so that nothing but a build without the cache takes it anew.
DOCKERFILE = """\
FROM node:local
WORKDIR /app
ARG SHARED
RUN ["node", "-e", "require('http').get(process.env.SHARED, (answer) => answer.pipe(require('fs').createWriteStream('SHARED')))"]
COPY SERVICE VERSION serve.js server.js ./
RUN ["node", "-e", "const fs = require('fs'); fs.writeFileSync('VERSION', fs.readFileSync('VERSION', 'utf8').trim() + ' with ' + fs.readFileSync('SHARED', 'utf8'))"]
USER nobody
CMD ["node", "server.js"]
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class RebuiltBy(unittest.TestCase):
    def setUp(self):
        settings = {**SERVICE, "rebuilt_by": [{"repo": "demo/shared", "url": f"file://{HOST}/git/shared.git", "paths": ["src"]}]}
        self.scene = Scene(settle="100ms", services={"backend": settings}, poll="1d")
        self.addCleanup(self.scene.close)
        self.agent = self.scene.agent
        self.shared = Repo(HOST / "git", "shared")
        self.change_shared("one")
        server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), functools.partial(Quiet, directory=self.shared.work))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        subnet = self.scene.engine.call("GET", "/networks/bridge")["IPAM"]["Config"][0]["Subnet"]
        gateway = ipaddress.ip_network(subnet)[1]
        self.scene.repos["backend"].write("Dockerfile", DOCKERFILE.replace("ARG SHARED", f"ARG SHARED=http://{gateway}:{server.server_port}/src/text"))
        self.scene.repos["backend"].commit("Take what demo/shared holds")
        self.scene.start()
        done = self.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"v1 with one"', self.scene.get("/api/info"))

    def change_shared(self, text, path="src/text"):
        self.shared.write(path, text + "\n")
        return self.shared.commit(f"{path}: {text}")

    def ended(self, count):
        """The newest rollout, once there are so many and all have ended."""
        def look():
            rollouts = self.agent.rollouts()
            return rollouts if len(rollouts) == count and all(rollout["finished"] for rollout in rollouts) else None
        return until(look, f"{count} rollouts to end", 120, 0.2)[-1]

    def push(self, repo):
        count = len(self.agent.rollouts())
        status, text = self.scene.github.send(*github.push(repo))
        self.assertEqual(status, 202, text)
        return self.ended(count + 1)

    def test_it_is_built_anew_from_its_own_commit_and_can_go_back(self):
        own = self.scene.repos["backend"].head
        first = self.agent.live()["backend"]["revision"]

        commit = self.change_shared("two")
        found = self.push(self.shared)
        cause = f"push of demo/shared, commit {commit[:7]}, which rebuilds backend"
        self.assertEqual((found["phase"], found["commit"], found["cause"]), ("succeeded", own, cause))
        self.assertIn('"v1 with two"', self.scene.get("/api/info"))
        self.assertEqual(self.agent.live()["backend"]["revision"], f"{first[:-8]}-{commit[:7]}")
        self.assertIn(cause, self.agent.ctl("show", str(found["id"])).stdout)

        self.change_shared("notes", "README")
        self.assertEqual(self.push(self.shared)["phase"], "unchanged")

        done = self.agent.ctl("rollback", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.agent.live()["backend"]["revision"], first)
        self.assertIn('"v1 with one"', self.scene.get("/api/info"))

        release(self.scene.repos["backend"], "v2")
        self.assertEqual(self.push(self.scene.repos["backend"])["phase"], "succeeded")
        self.assertIn('"v2 with two"', self.scene.get("/api/info"))

    def test_what_was_missed_is_found_at_the_start_of_deployd(self):
        self.assertEqual(self.agent.stop(), 0)
        commit = self.change_shared("two")
        self.agent.start()
        found = self.ended(2)
        self.assertEqual((found["phase"], found["cause"]),
                         ("succeeded", f"poll: main of demo/shared, which rebuilds backend, is at {commit[:7]}"))
        self.assertIn('"v1 with two"', self.scene.get("/api/info"))


if __name__ == "__main__":
    unittest.main()
