"""Parts of an end-to-end test: a real engine, Nginx, git, registry and deployd, all inside the private sandbox of ./dev."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
APPS = ROOT / "tests" / "e2e" / "apps"
RELEASE = pathlib.Path(os.environ.get("DEPLOYCTL_PROGRAMS", ROOT / "build" / "release"))  # of ./dev build
