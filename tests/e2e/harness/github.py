"""Signed webhooks as GitHub sends them, cut to the fields that say something (docs.github.com, webhook events and payloads)."""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
import uuid
import zlib

WORKFLOW = ".github/workflows/release.yml"


def _repository(repo):
    owner, name = repo.full_name.split("/")
    return {"id": zlib.crc32(repo.full_name.encode()), "name": name, "full_name": repo.full_name, "private": True,
            "owner": {"login": owner}, "default_branch": "main", "clone_url": "https://attacker.invalid/never-used.git"}


def push(repo, branch="main"):
    """(event, payload) of a push of the repository's newest commit."""
    commit = {"id": repo.head, "message": repo.git("log", "-1", "--format=%s"), "timestamp": repo.git("log", "-1", "--format=%cI"),
              "added": [], "removed": [], "modified": ["VERSION"]}
    return "push", {"ref": f"refs/heads/{branch}", "before": repo.previous, "after": repo.head, "created": False, "deleted": False,
                    "forced": False, "commits": [commit], "head_commit": commit, "repository": _repository(repo),
                    "pusher": {"name": "dev"}, "sender": {"login": "dev"}}


def workflow_run(repo, conclusion="success", branch="main"):
    """(event, payload) of a workflow that ended for the repository's newest commit."""
    run = {"id": int(time.time() * 1000), "name": "release", "path": WORKFLOW, "event": "push", "status": "completed",
           "conclusion": conclusion, "head_branch": branch, "head_sha": repo.head, "run_number": 1, "run_attempt": 1,
           "workflow_id": 1, "repository": _repository(repo), "head_repository": _repository(repo)}
    return "workflow_run", {"action": "completed", "workflow_run": run, "workflow": {"id": 1, "name": "release", "path": WORKFLOW},
                            "repository": _repository(repo), "sender": {"login": "dev"}}


class GitHub:
    def __init__(self, url, secret):
        self.url = url
        self.secret = secret

    def send(self, event, payload, signature=None, delivery=None):
        """Delivers and returns (status, text). A redelivery has the id `delivery` of the first."""
        body = json.dumps(payload).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/e2e", "X-GitHub-Event": event,
                   "X-GitHub-Delivery": delivery or str(uuid.uuid4()), "X-GitHub-Hook-ID": "1",
                   "X-Hub-Signature-256": signature or "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}
        request = urllib.request.Request(self.url, body, headers, method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
