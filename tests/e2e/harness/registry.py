"""A real registry on the sandbox's loopback, with or without a login."""

import subprocess
import urllib.error
import urllib.request

from .wait import until

_CONFIG = """\
version: 0.1
log: {{ level: error, accesslog: {{ disabled: true }} }}
storage: {{ filesystem: {{ rootdirectory: "{folder}/data" }}, delete: {{ enabled: true }} }}
http: {{ addr: "127.0.0.1:{port}" }}
"""

USER, PASSWORD = "robot", "correct-horse-battery"
_PASSWORD_FILE = f"{USER}:$2b$05$abcdefghijklmnopqrstuuSnF5tLPqPFqc0z9CY0HcSLFbSRlL67u\n"  # bcrypt
_LOGIN = """\
auth: {{ htpasswd: {{ realm: e2e, path: "{folder}/htpasswd" }} }}
"""


class Registry:
    def __init__(self, folder, port=5000, login=False):
        """`login`: it wants USER and PASSWORD."""
        self.folder = folder
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text((_CONFIG + (_LOGIN if login else "")).format(folder=folder, port=port))
        (folder / "htpasswd").write_text(_PASSWORD_FILE)
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", self.folder / "config.yml"], stdout=log, stderr=log)
        until(self._answers, "the registry to answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def _answers(self):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{self.address}/v2/", timeout=1):
                return True
        except urllib.error.HTTPError as refusal:
            return refusal.code == 401
        except OSError:
            return False
