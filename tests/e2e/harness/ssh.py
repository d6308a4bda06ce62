"""A real sshd on loopback that serves git."""

import pathlib
import socket
import subprocess
import threading


class SshServer:
    """Connections are accepted here and handed to `sshd -i`, so that no port has to be guessed. Keys are ed25519."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own, empty, for its privilege separation
        self.host_key = self.make_key("host")
        self.accepted = folder / "accepted"
        self.accepted.write_text("")
        self.config = folder / "config"
        self.config.write_text(
            f"HostKey {self.host_key}\nAuthorizedKeysFile {self.accepted}\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nPidFile none\nPermitRootLogin prohibit-password\n")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def make_key(self, name):
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
        return path

    def accept(self, key):
        """From now on this key may log in."""
        self.accepted.write_text(pathlib.Path(f"{key}.pub").read_text())

    def known_hosts(self, name, key=None):
        """A known_hosts file with this server's host key, or with another key for its address."""
        kind, public = pathlib.Path(f"{key or self.host_key}.pub").read_text().split()[:2]
        file = self.folder / name
        file.write_text(f"[127.0.0.1]:{self.port} {kind} {public}\n")
        return file

    def url(self, path):
        return f"ssh://root@127.0.0.1:{self.port}{path}"

    def close(self):
        # A close alone does not wake the accept that another thread waits in.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                subprocess.run(["/usr/sbin/sshd", "-i", "-f", self.config, "-E", self.folder / "log"], stdin=connection,
                               stdout=connection, check=False)
