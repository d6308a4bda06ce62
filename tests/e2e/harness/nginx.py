"""The users' Nginx: a container on their shared network, with a folder of upstream files mounted."""

import os
import socket

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


class Nginx:
    def __init__(self, engine, folder, network, deployed, name="nginx"):
        """The upstreams of the services `deployed` are deployctl's to write, the others are the users' own."""
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
        for upstream in ("frontend", "backend"):
            header = _OURS if upstream in deployed else ""
            (self.upstreams / f"{upstream}.conf").write_text(header + _EMPTY.format(upstream))

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
