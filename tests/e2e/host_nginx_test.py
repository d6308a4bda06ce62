"""An Nginx that runs on the host and not in a container: rollouts from outside and between services, and no request fails."""

import json
import pathlib
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.load import OutsideLoad  # noqa: E402
from harness.nginx import HostNginx  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, ROUTING, Scene  # noqa: E402

LLM = {
    "service": "llm",
    "on": "manual",
    "source": {"git": {"url": f"file://{HOST}/git/llm.git"}},
    "health": {"http": "/health", "interval": "100ms", "deadline": "10s"},
    "drain": "2s",
    "proxy": {"port": 8000},
}


class OnHost(unittest.TestCase):
    def test_no_request_fails(self):
        scene = Scene(services={"llm": LLM, "backend": SERVICE}, nginx=HostNginx)
        self.addCleanup(scene.close)
        scene.start()
        self.roll(scene, "llm", "backend")
        # Each question that backend is asked, it asks llm by name.
        load = OutsideLoad("outside", HOST / "load", [
            "--target", f"{scene.nginx.address}:80", "--rate", "200", "--connections", "16",
            "--kinds", "keepalive-get,keepalive-post,new-post", "--get-paths", "/api/info",
            "--post-paths", "/api/ask", "--post-body", '{"question": "why"}'])
        load.start()
        for version in ("v2", "v3"):
            for service in ("llm", "backend"):
                release(scene.repos[service], version)
                self.roll(scene, service)
        report = load.stop()
        self.assertEqual(report["failed"], 0, report)
        self.assertGreater(report["requests"], 500, report)
        self.assertIn("v3", scene.get("/api/info"))
        self.starts_before_docker(scene)

    def starts_before_docker(self, scene):
        """As after a reboot: Nginx comes first, and Docker makes the network that it listens on later."""
        bridge, address = self.routing_bridge(scene)
        scene.nginx.stop()
        subprocess.run(["ip", "address", "del", address, "dev", bridge], check=True)
        scene.nginx.run()
        subprocess.run(["ip", "address", "add", address, "dev", bridge], check=True)
        question = urllib.request.Request(f"http://{scene.nginx.address}/api/ask", b'{"question": "why"}')
        with urllib.request.urlopen(question, timeout=10) as answer:
            self.assertIn('"llm":"v3"', answer.read().decode())

    def routing_bridge(self, scene):
        """Its name, and the host's address on it as ip(8) takes it."""
        network = scene.engine.call("GET", f"/networks/{ROUTING}")
        shown = json.loads(subprocess.run(["ip", "-json", "-4", "address"], check=True, capture_output=True).stdout)
        bridge = f"br-{network['Id'][:12]}"
        own, = (entry["addr_info"][0] for entry in shown if entry["ifname"] == bridge)
        return bridge, f"{own['local']}/{own['prefixlen']}"

    def test_an_nginx_that_is_not_there_is_said(self):
        scene = Scene(services={"backend": SERVICE}, nginx=HostNginx)
        self.addCleanup(scene.close)
        scene.start()
        self.roll(scene, "backend")
        scene.nginx.stop()
        release(scene.repos["backend"], "v2")
        done = scene.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"Nginx on this host has no pid file {scene.nginx.pid_file}; start it, or set proxy.nginx.pid in agent.yaml "
                      "to the file that its \"pid\" names", done.stderr)

    def roll(self, scene, *services):
        done = scene.agent.ctl("rollout", *services)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
