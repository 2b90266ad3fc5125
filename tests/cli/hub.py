"""A Hub of our own on this machine, as far as its library asks: repositories, their files, one that is gated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"the only commit").hexdigest()
GATED = "someone/gated"


def digest(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Serves directories.

    Attributes:
        repositories: `models/owner/name` or `datasets/owner/name` → its files.
        sent: the paths of files whose content was asked for.
        size: bytes that every file is said to have; 0: as many as it has.
    """

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repositories = repositories
        self.sent: list[str] = []
        self.size = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/"):
            self._describe(path.removeprefix("api/"))
        else:
            self._file(path)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the tests' output is not its place."""

    def _describe(self, path: str) -> None:
        name, of_tree, revision = path.partition("/tree/")
        if not of_tree:
            name, _, revision = path.partition("/revision/")
        if name == f"models/{GATED}":
            self._refuse(403, "GatedRepo")
        elif name not in self.server.repositories:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("", "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            root = self.server.repositories[name]
            files = {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if file.is_file()}
            described: object = {
                "id": name.partition("/")[2],
                "sha": COMMIT,
                "siblings": [{"rfilename": f} for f in files],
            }
            if of_tree:
                size = self.server.size
                described = [
                    {"type": "file", "path": path, "oid": digest(file), "size": size or file.stat().st_size}
                    for path, file in files.items()
                ]
            self._send(json.dumps(described).encode())

    def _file(self, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        root = self.server.repositories.get(name if name.startswith("datasets/") else f"models/{name}")
        file = None if root is None else root / rest.partition("/")[2]
        if file is None or not file.is_file():
            self._refuse(404, "EntryNotFound")
            return
        if self.command == "GET":
            self.server.sent.append(path)
        self._send(file.read_bytes(), headers={"ETag": f'"{digest(file)}"', "X-Repo-Commit": COMMIT})

    def _send(self, content: bytes, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", status, {"X-Error-Code": code, "X-Error-Message": code})


@contextmanager
def serving(repositories: dict[str, Path]) -> Iterator[Hub]:
    """The Hub, for as long as the block runs."""
    hub = Hub(repositories)
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
