"""The users' Nginx: a container on their shared network, with a folder of upstream files mounted; or a process of the host."""

import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import tarfile

from .wait import until

_MAIN = """\
worker_processes 2;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_min_timeout 5s;
  include /etc/nginx/upstreams/*.conf;
  server {
    listen 80;
    location / { proxy_pass http://frontend; }
    location /api/ { proxy_pass http://backend; }
    location /api/socket {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }
  }
}
"""

# Nginx has keepalive_min_timeout since 1.27.4; these suites have an earlier one.
if os.environ.get("DEPLOYCTL_BASE_SUITE") in ("bookworm", "trixie"):
    _MAIN = _MAIN.replace("  keepalive_min_timeout 5s;\n", "")

# An upstream that Nginx can start with before anything is deployed.
_EMPTY = "upstream {} {{ server 127.0.0.1:1 down; }}\n"
_OURS = "# Written by deployctl. Changes made here are lost.\n"


def _write_empty(folder, deployed):
    """The upstreams of the services `deployed` are deployctl's to write, the others are the users' own."""
    for upstream in ("frontend", "backend"):
        header = _OURS if upstream in deployed else ""
        (folder / f"{upstream}.conf").write_text(header + _EMPTY.format(upstream))


class Nginx:
    def __init__(self, engine, folder, network, deployed, name="nginx"):
        self.engine = engine
        self.name = name
        self.network = network
        self.upstreams = folder / "upstreams"
        self.upstreams.mkdir(parents=True)
        self.conf = folder / "conf"
        self.conf.mkdir()
        self.main = self.conf / "nginx.conf"
        self.main.write_text(_MAIN)
        # The conf folder is mounted beside /etc/nginx: a mounted single file would pin its inode.
        self.binds = [f"{self.conf}:/etc/nginx/main:ro", f"{self.upstreams}:/etc/nginx/upstreams:ro"]
        self.settings = {"container": name, "upstreams": str(self.upstreams)}
        _write_empty(self.upstreams, deployed)

    def start(self):
        command = ["nginx", "-c", "/etc/nginx/main/nginx.conf", "-g", "daemon off;"]
        self.engine.run(self.name, "nginx:local", self.network, command, self.binds)
        until(self.listening, "Nginx to listen")

    @property
    def address(self):
        return self.engine.address(self.name, self.network)

    def listening(self):
        try:
            socket.create_connection((self.address, 80), timeout=1).close()
            return True
        except (OSError, KeyError):
            return False

    def reload(self):
        self.engine.signal(self.name, "HUP")

    def close(self):
        """The engine's containers are the scene's to remove."""


class HostNginx:
    """It and its libraries are those of the base image, so it runs with that image's files as its root folder."""

    def __init__(self, engine, folder, _network, deployed):
        self.engine = engine
        self.root = folder / "root"
        self.upstreams = self.root / "etc" / "nginx" / "upstreams"
        self.upstreams.mkdir(parents=True)
        self.main = folder / "nginx.conf"
        self.main.write_text(_MAIN.replace("/dev/stderr", "/var/log/nginx/error.log"))
        self.pid_file = self.root / "run" / "nginx.pid"
        self.address = "127.0.0.1"
        self.settings = {"pid": str(self.pid_file), "upstreams": str(self.upstreams)}
        _write_empty(self.upstreams, deployed)
        # deployd finds it as `nginx`.
        self.programs = folder / "bin"
        self.programs.mkdir()
        program = self.programs / "nginx"
        program.write_text(f'#!/bin/sh\nexec chroot {self.root} nginx "$@"\n')
        program.chmod(0o755)
        os.environ["PATH"] = f"{self.programs}:{os.environ['PATH']}"

    def start(self):
        self._unpack()
        subprocess.run(["sysctl", "--quiet", "--write", "net.ipv4.ip_nonlocal_bind=1"], check=True)
        self.run()

    def run(self):
        subprocess.run([self.programs / "nginx"], check=True)
        until(self.listening, "Nginx to listen")

    def _unpack(self):
        container = self.engine.call("POST", "/containers/create", {"Image": "nginx:local"})["Id"]
        with tarfile.open(fileobj=io.BytesIO(self.engine.call("GET", f"/containers/{container}/export"))) as files:
            files.extractall(self.root)
        self.engine.remove(container)
        shutil.copy(self.main, self.root / "etc" / "nginx" / "nginx.conf")
        os.mknod(self.root / "dev" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def listening(self):
        try:
            socket.create_connection((self.address, 80), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
        until(lambda: not self.pid_file.exists(), "Nginx to end")

    def close(self):
        if self.listening():
            self.stop()
        os.environ["PATH"] = os.environ["PATH"].removeprefix(f"{self.programs}:")
