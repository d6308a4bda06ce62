"""The git repositories of the demo's three services, with a bare remote each."""

import os
import shutil
import subprocess

from . import APPS

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Dev", "GIT_AUTHOR_EMAIL": "dev@example.com",
    "GIT_COMMITTER_NAME": "Dev", "GIT_COMMITTER_EMAIL": "dev@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
}


class Repo:
    """A work tree and its bare remote."""

    def __init__(self, folder, name, work=None):
        """`name` is GitHub's, with or without an owner; `work` a folder for the work tree in place of one below `folder`."""
        self.name = name.split("/")[-1]
        self.full_name = name if "/" in name else f"demo/{name}"
        self.work = work or folder / "work" / name
        self.bare = folder / f"{name}.git"
        self.head = "0" * 40
        self.previous = self.head
        self.work.mkdir(parents=True, exist_ok=work is not None)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.bare], check=True, env=self._env())
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", f"file://{self.bare}")

    @property
    def url(self):
        return f"file://{self.bare}"

    def git(self, *arguments):
        done = subprocess.run(["git", *arguments], cwd=self.work, env=self._env(), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, path, text):
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, message):
        """Commits everything, pushes, and returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.git("push", "--quiet", "origin", "HEAD:main")
        self.previous, self.head = self.head, self.git("rev-parse", "HEAD")
        return self.head

    @staticmethod
    def _env():
        return {**os.environ, **_IDENTITY}


def app_repo(folder, service, version="v1"):
    """A repository of the service's app at its first version."""
    repo = Repo(folder, service)
    shutil.copytree(APPS / service, repo.work, dirs_exist_ok=True)
    shutil.copy(APPS / "serve.js", repo.work)
    repo.write("SERVICE", service + "\n")
    release(repo, version)
    return repo


def release(repo, version):
    """A commit that makes the app a new version; see serve.js for versions that name a fault."""
    repo.write("VERSION", version + "\n")
    return repo.commit(f"{repo.name} {version}")
