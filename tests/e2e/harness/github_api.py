"""GitHub's REST API as far as polling asks it, over TLS on loopback (docs.github.com, "Branches" and "Workflow runs")."""

import http.server
import json
import ssl
import subprocess
import threading
import urllib.parse
import zlib


class GitHubApi:
    """`runs` ({commit: [run]}) is what it answers; `asked` holds the path of each request that had the token."""

    def __init__(self, folder, token):
        self.runs = {}
        self.asked = []
        self.certificate = folder / "certificate.pem"
        folder.mkdir(parents=True)
        key = folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(path.query))
                right = self.headers["Authorization"] == f"Bearer {token}"
                body = json.dumps({"workflow_runs": api.runs.get(query.get("head_sha"), [])} if right else {}).encode()
                if right:
                    api.asked.append(path.path)
                self.send_response(200 if right else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add_run(self, repo, workflow, conclusion="success"):
        """A run of the repository's newest commit."""
        repository = {"id": zlib.crc32(repo.full_name.encode()), "full_name": repo.full_name}
        self.runs.setdefault(repo.head, []).append({
            "status": "completed", "conclusion": conclusion, "event": "push", "head_branch": "main", "head_sha": repo.head, "path": workflow,
            "repository": repository, "head_repository": repository, "head_commit": {"message": repo.git("log", "-1", "--format=%B")}})

    def close(self):
        self._server.shutdown()
        self._server.server_close()
