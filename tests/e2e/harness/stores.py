"""Images of a real PostgreSQL and a real Redis under the names that the users' Compose files ask for: nothing can be pulled here."""

import os

from . import ROOT

_FOLDER = ROOT / "tests" / "e2e" / "stores"
IMAGES = {"postgres:15": "postgres", "pgvector/pgvector:pg16": "postgres", "redis:7-alpine": "redis"}


def import_stores(engine):
    """The sandbox names a tar of Debian's packages; what is made of it stays for the other tests of the same engine."""
    if not _has(engine, "stores:local"):
        with open(os.environ["DEPLOYCTL_TEST_STORES"], "rb") as tar:
            engine.call("POST", "/images/create", tar, {"Content-Type": "application/x-tar"}, fromSrc="-", repo="stores", tag="local")
    for name, folder in IMAGES.items():
        if not _has(engine, name):
            engine.build(_FOLDER / folder, name)
    engine.call("POST", "/images/nginx:local/tag", repo="nginx", tag="alpine")


def _has(engine, name):
    return any(name in (image["RepoTags"] or []) for image in engine.call("GET", "/images/json"))
