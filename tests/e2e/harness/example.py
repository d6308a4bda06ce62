"""One of docs/examples on a host of its own, started as its owners start it today, with a git repository for each application."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from . import APPS, ROOT
from .agent import SECRET, Agent
from .engine import Engine
from .github import GitHub
from .registry import Registry
from .repos import Repo
from .scene import HOST
from .stores import import_stores
from .wait import until

EXAMPLES = ROOT / "docs" / "examples"


class Example:
    """`apps`: {folder below apps/: (GitHub's owner/name, where its work tree is on the host, relative to the system's folder)}."""

    def __init__(self, name, apps):
        self.name = name
        self.engine = Engine()
        import_stores(self.engine)
        HOST.mkdir()
        self.home = HOST / name
        shutil.copytree(EXAMPLES / name, self.home, ignore=shutil.ignore_patterns("apps", "deploy.d", "agent.yaml", "README.md"))
        (self.home / ".env.example").rename(self.home / ".env")
        self.repos = {app: self._repo(app, full_name, folder) for app, (full_name, folder) in apps.items()}
        self.registry = Registry(HOST / "registry")
        self.agent = None
        self.loads = []

    def _repo(self, app, full_name, folder):
        repo = Repo(HOST / "git", full_name, self.home / folder if folder else None)
        shutil.copytree(EXAMPLES / self.name / "apps" / app, repo.work, dirs_exist_ok=True)
        shutil.copy(APPS / "serve.js", repo.work)
        repo.write("SERVICE", app + "\n")
        self.release(app, "v1", repo)
        return repo

    def release(self, app, version, repo=None):
        """A commit that makes the app a new version; see serve.js for versions that name a fault."""
        repo = repo or self.repos[app]
        repo.write("VERSION", version + "\n")
        return repo.commit(f"{app} {version}")

    def compose(self, *arguments, check=True):
        """docker compose in the system's folder, as its owners type it."""
        done = subprocess.run(["docker", "compose", *arguments], cwd=self.home, capture_output=True, text=True, timeout=300)
        if check and done.returncode != 0:
            raise RuntimeError(f"docker compose {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-3000:]}")
        return done

    def psql(self, container, user, database, statement):
        done = subprocess.run(["docker", "exec", container, "psql", "-U", user, "-d", database, "-At", "-c", statement],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr}")
        return done.stdout.strip()
