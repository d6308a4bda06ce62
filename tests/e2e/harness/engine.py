"""The private engine, over its unix socket. It knows the few calls that set a scene; what is tested is deployd's own client."""

import base64
import http.client
import io
import json
import os
import socket
import tarfile
import urllib.parse


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class EngineError(Exception):
    def __init__(self, status, message):
        super().__init__(f"the engine answered {status}: {message}")
        self.status = status


class Engine:
    def __init__(self, path=None):
        self.path = path or os.environ.get("ENGINE_SOCKET")
        if not self.path:
            raise RuntimeError("there is no private engine: run this inside ./dev sandbox")

    def call(self, method, path, body=None, headers=None, **query):
        """The decoded JSON of the answer, or its bytes where it is no JSON."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = _Connection(self.path)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(answer.status, data.decode(errors="replace").strip())
        try:
            return json.loads(data) if data else None
        except ValueError:
            return data

    def create_network(self, name, **settings):
        return self.call("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, **settings})["Id"]

    def run(self, name, image, network, command=None, binds=(), environment=(), also=()):
        """Creates and starts a container on `network` and the networks `also`; returns its id."""
        config = {"Image": image, "Env": list(environment),
                  "HostConfig": {"Binds": list(binds), "NetworkMode": network}}
        if command:
            config["Cmd"] = list(command)
        identifier = self.call("POST", "/containers/create", config, name=name)["Id"]
        for other in also:
            self.call("POST", f"/networks/{other}/connect", {"Container": identifier})
        self.call("POST", f"/containers/{identifier}/start")
        return identifier

    def inspect(self, name):
        return self.call("GET", f"/containers/{name}/json")

    def address(self, name, network):
        return self.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def signal(self, name, signal):
        self.call("POST", f"/containers/{name}/kill", signal=signal)

    def wait_exit(self, name):
        return self.call("POST", f"/containers/{name}/wait")["StatusCode"]

    def remove(self, name):
        self.call("DELETE", f"/containers/{name}", force="true", v="true")

    def exec(self, name, *command):
        """Exit status of a command inside of a container."""
        identifier = self.call("POST", f"/containers/{name}/exec", {"Cmd": list(command), "AttachStdout": True})["Id"]
        self.call("POST", f"/exec/{identifier}/start", {"Detach": False})
        return self.call("GET", f"/exec/{identifier}/json")["ExitCode"]

    def logs(self, name):
        """Both streams as text, the frames' headers (8 bytes) taken out."""
        data = self.call("GET", f"/containers/{name}/logs", stdout="true", stderr="true")
        data = data if isinstance(data, bytes) else str(data or "").encode()
        text, at = b"", 0
        while at + 8 <= len(data):
            length = int.from_bytes(data[at + 4:at + 8], "big")
            text += data[at + 8:at + 8 + length]
            at += 8 + length
        return text.decode(errors="replace")

    def build(self, folder, tag):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(folder, arcname=".", filter=lambda entry: None if "/.git" in entry.name else entry)
        self._stream("POST", "/build", archive.getvalue(), {"Content-Type": "application/x-tar"}, t=tag)

    def push(self, repository, tag, login=None):
        """`login`: user and password, where the registry wants them."""
        user = {"username": login[0], "password": login[1]} if login else {}
        header = base64.urlsafe_b64encode(json.dumps(user).encode()).decode()
        self._stream("POST", f"/images/{repository}/push", b"", {"X-Registry-Auth": header}, tag=tag)

    def remove_image(self, reference):
        self.call("DELETE", f"/images/{reference}", force="true")

    def _stream(self, method, path, body, headers, **query):
        """A call that is answered 200 and then tells in its stream whether it failed."""
        data = self.call(method, path, body, headers, **query)
        lines = [data] if isinstance(data, dict) else [json.loads(line) for line in (data or b"").splitlines() if line.strip()]
        for line in lines:
            if "errorDetail" in line:
                raise EngineError(200, line["errorDetail"]["message"])
