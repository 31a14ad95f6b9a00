"""A stand-in of the Hugging Face hub's file interface, as huggingface_hub 2 speaks it.

One model repository after the other, in memory: making it, committing files (all of them inline,
none through large-file storage), listing and downloading them. What it is asked for and does not
know is a 404.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "1" * 40


class Hub(ThreadingHTTPServer):
    """``repositories[id][path]`` are bytes; ``requests`` lists paths asked for, with the token."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args):
        pass

    def _send(self, status: int, body: bytes | dict | list, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        self.server.requests.append((path, self.headers.get("Authorization", "")))
        parts = path.strip("/").split("/")
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if not self.headers.get("Authorization"):
            return self._send(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            asked = json.loads(content)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = asked.get("visibility") == "private"
            return self._send(200, {"url": f"{self.server.url}/{name}"})
        name, action = "/".join(parts[2:4]), parts[4]
        if name not in self.server.repositories:
            return self._send(404, {"error": "Repository not found"})
        if action == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(content)["files"]
            ]
            return self._send(200, {"files": files})
        for line in content.splitlines():  # action == "commit"
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                data = base64.b64decode(value["content"])
                self.server.repositories[name][value["path"]] = data
        url = f"{self.server.url}/{name}/commit/{COMMIT}"
        return self._send(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})

    def do_GET(self):
        path = self.path.split("?")[0]
        self.server.requests.append((path, self.headers.get("Authorization", "")))
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.server.repositories.get(name)
        if files is None:
            return self._send(404, {"error": "no"}, X_Error_Code="RepoNotFound")
        if parts[0] == "api":
            if parts[4:5] == ["tree"]:
                tree = [
                    {"type": "file", "path": f, "size": len(d), "oid": _etag(d)}
                    for f, d in files.items()
                ]
                return self._send(200, tree)
            return self._send(200, {"id": name, "sha": COMMIT})
        data = files.get("/".join(parts[4:]))  # owner/name/resolve/revision/path
        if data is None:
            return self._send(404, {"error": "no"}, X_Error_Code="EntryNotFound")
        return self._send(200, data, ETag=f'"{_etag(data)}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of this machine."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
