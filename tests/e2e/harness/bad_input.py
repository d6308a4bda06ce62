"""What the tests of bad input share: a frontend at v1 in traffic, and the proof that a failed rollout left all as it was."""

import json
import re
import unittest

from .scene import HOST, Scene

SERVICE = {
    "service": "frontend",
    "on": "push",
    "repo": "demo/frontend",
    "source": {"git": {"url": f"file://{HOST}/git/frontend.git"}},
    "proxy": {"upstream": "frontend", "port": 3000},
    "health": {"http": "/health", "interval": "100ms", "deadline": "3s"},
    "drain": "1s",
}

# What the app says at its start is among its last lines only where a busy machine let few probes follow.
_STARTED = re.compile(r"frontend v.* listens on \d+$")

# What differs from run to run or from engine to engine, and what stands for it in the expected texts.
_VARIES = [
    (r"frontend-[0-9a-f]{7}-[0-9a-f]{6}-\d+-(\d+)", r"frontend-COMMIT-CONFIG-ROLLOUT-\1"),  # a container
    (r"frontend-[0-9a-f]{7}-[0-9a-f]{6}", "frontend-COMMIT-CONFIG"),  # a revision
    (r"frontend-[0-9a-f]{7}\b", "frontend-COMMIT"),
    (r"\b[0-9a-f]{40}\b", "COMMIT"),
    (r"commit [0-9a-f]{7}\b", "commit COMMIT"),
    (r"git/[0-9a-f]{16}\.git", "git/MIRROR.git"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
    (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
    (r"after [0-9.]+ m?s\b", "after TIME"),
    (r"received \d+ of \d+ objects, [0-9.]+ MB", "received N of N objects, N MB"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+:", r"DATE [\1] PID:"),  # Nginx
    (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} ", "TIME "),  # a line of deployd's log
    (r"^( *\[\d+/\d+\] .*) \(cached\)$", r"\1"),  # a step of a build: depends on what was built before
    (r'target stage "(\w+)"', r"target stage \1"),  # 23 and later
    # The engine's words around a command that failed: 20.10 says the first, 23 and later the second.
    (r'executor failed running \[(.*?)\]:', r"\1 FAILED:"),
    (r'(?:failed to solve: )?process "(.*?)" did not complete successfully:', r"\1 FAILED:"),
]


def normalised(text):
    """The text with a fixed word for every id, hash, duration and date in it."""
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def without_progress(text):
    """What deployctl wrote to stderr but its lines of progress: what a person sees last, and acts on."""
    lines = text.splitlines()
    return [line for line in lines if not re.match(r"\d\d:\d\d:\d\d |frontend: queued as rollout \d+$", line)]


def _runs_collapsed(lines):
    """Equal lines that follow each other as one: how often a probe asked depends on the machine."""
    return [line for at, line in enumerate(lines) if at == 0 or line != lines[at - 1]]


class BadInputCase(unittest.TestCase):
    """Starts from version v1 in traffic; a test's changes to the host are undone before its clean-ups end."""

    maxDiff = None
    settings = SERVICE

    @classmethod
    def setUpClass(cls):
        cls.scene = Scene(services={"frontend": cls.settings})
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.agent = cls.scene.agent
        cls.repo = cls.scene.repos["frontend"]
        done = cls.agent.ctl("rollout", "frontend")
        if done.returncode != 0:
            raise RuntimeError(f"v1 was not deployed:\n{done.stderr}\n{cls.agent.log_text()[-3000:]}")
        cls.serving = "frontend v1"

    def with_settings(self, **changes):
        """Runs the rest of this test with another frontend.yaml."""
        before = self.scene.edit_service("frontend", lambda _: json.dumps({**self.settings, **changes}))
        self.addCleanup(self.scene.edit_service, "frontend", lambda _: before)

    def break_the_repository(self, path, text):
        """Commits another text for a file (None: without the file); the file is back in the next test's commit."""
        before = (self.repo.work / path).read_text()
        self.addCleanup(self.repo.write, path, before)
        if text is None:
            (self.repo.work / path).unlink()
        else:
            self.repo.write(path, text)
        self.repo.commit(f"Break {path}")

    def host(self):
        """All that a rollout may leave behind: containers, images, upstream files, targets, mirrors and networks."""
        engine = self.scene.engine
        containers = engine.call("GET", "/containers/json", all="true")
        networks = [engine.call("GET", f"/networks/{network['Id']}") for network in engine.call("GET", "/networks")]
        mirrors = HOST / "state" / "git"
        return {
            "containers": {c["Id"]: (c["Names"], c["State"]) for c in containers},
            "images": {i["Id"]: sorted(i["RepoTags"] or []) for i in engine.call("GET", "/images/json")},
            # What is called ep-… has no container: BuildKit removes a command's endpoint some time after its build.
            "networks": {n["Name"]: sorted(c for c in n["Containers"] if not c.startswith("ep-")) for n in networks},
            "upstreams": {file.name: file.read_text() for file in self.scene.nginx.upstreams.iterdir()},
            "targets": {s["service"]: (s["live"], s["targets"]) for s in self.agent.view("status")["services"]},
            "mirrors": sorted(entry.name for entry in mirrors.iterdir()) if mirrors.exists() else [],
        }

    def assert_rolled_back(self, reason, log=(), command=("rollout", "frontend"), serving=True):
        """The command fails with exactly this reason and these last lines of the failed version, in deployctl's own output,
        in `show` and in `status`; and the host is as it was before, the old version serving (but where the test itself stopped Nginx)."""
        before = self.host()
        done = self.agent.ctl(*command)
        rollout = self.agent.rollouts()[-1]
        self.assertEqual((done.returncode, rollout["phase"]), (1, "rolled_back"), f"{done.stderr}\n{rollout['reason']}")
        self.assertEqual(normalised(rollout["reason"]), reason)
        line = reason.replace("\n", " ")
        shown = _runs_collapsed([normalised(text) for text in without_progress(done.stderr) if not _STARTED.search(text)])
        lines = ["last lines of frontend:"] + [f"  {text}" for text in log] if log else []
        self.assertEqual(shown, lines + [f"deployctl: frontend: rolled back: {line}; every step: deployctl show {rollout['id']}"])
        self.assertIn(f"frontend: rolled back: {line}\n", normalised(done.stderr))
        self.assertTrue(normalised(done.stdout).endswith(f"  {line}\n"), done.stdout)
        view = self.agent.view("show", str(rollout["id"]))
        self.assertEqual(normalised(view["reason"]), reason)
        self.assertEqual(_runs_collapsed([normalised(text) for text in view["log"] if not _STARTED.search(text)]), list(log))
        last = self.agent.view("status")["services"][0]["last"]
        self.assertEqual((last["phase"], normalised(last["reason"])), ("rolled_back", reason))
        self.assertEqual(self.host(), before)
        if serving:
            self.assertIn(self.serving, self.scene.get("/"))

    def assert_refused(self, status, message, *command):
        """deployctl itself refuses: no rollout is made, and nothing changes."""
        before, rollouts = self.host(), self.agent.rollouts()
        done = self.agent.ctl(*command)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (status, "", message))
        self.assertEqual(self.agent.rollouts(), rollouts)
        self.assertEqual(self.host(), before)
        self.assertIn(self.serving, self.scene.get("/"))
