"""A small cloud in memory, that speaks the commands of the real one: for what the clients do on their own.

Nobody has roles here, and nothing outlives the process, but the bytes travel as they do in the real one. The token
``user NAME`` is that of NAME, any other a stranger's. As a program: ``small_cloud.py PORT [SECRETS]``, with TLS if
there is a folder of secrets.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher, textFileLogObserver

from fluxon.commands import Hello, cloud
from fluxon.endpoint.listening import choose_endpoint, listen
from fluxon.errors import AlreadyExists, Conflict, InvalidPayload, Locked, NotFound, PermissionDenied
from fluxon.limits import Limits
from fluxon.rpc import FileSource, Incoming, Opening, Outgoing, Peer, Responders, ServerFactory
from fluxon.security import Secrets
from fluxon.security.tls import ServerTLS

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


class Node:
    """An item; ``contents`` are the versions of a file, the newest last."""

    def __init__(self, kind: str, creator: str | None) -> None:
        self.kind = kind
        self.creator = creator
        self.contents: list[bytes] = [b""] if kind == "file" else []
        self.lock: str | None = None

    @property
    def data(self) -> bytes:
        return self.contents[-1]


class Upload:
    """Bytes that have come, over however many connections. A sink."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.data = bytearray()
        self.item: dict[str, Any] | None = None
        self.stream: Incoming | None = None


class Sink:
    def __init__(self, upload: Upload) -> None:
        self.upload = upload

    def data(self, piece: memoryview) -> None:
        self.upload.data += piece

    def ended(self, error: object) -> None:
        return


class Cloud:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node("directory", None)}
        self.uploads: dict[str, Upload] = {}
        self.watches: dict[int, tuple[Peer, str]] = {}
        self.deleted: dict[int, tuple[str, Node]] = {}
        self.log: list[dict[str, Any]] = []
        self.roles: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}

    # What each command does

    def find(self, path: str) -> Node:
        found = self.nodes.get(path.rstrip("/") or "/")
        if found is None:
            raise NotFound(f"{path!r} is not there")
        return found

    def file(self, path: str) -> Node:
        node = self.find(path)
        if node.kind != "file":
            raise InvalidPayload(f"{path!r} is no file")
        return node

    def item(self, path: str) -> dict[str, Any]:
        path = path.rstrip("/") or "/"
        node = self.find(path)
        is_file = node.kind == "file"
        return {
            "name": path.rpartition("/")[2],
            "path": path,
            "type": node.kind,
            "size": len(node.data) if is_file else 0,
            "version": len(node.contents),
            "sha256": hashlib.sha256(node.data).hexdigest() if is_file else None,
            "creator": node.creator,
            "created_at": NOW,
            "modified_at": NOW,
        }

    def add(self, peer: Peer, path: str, kind: str) -> Node:
        path = path.rstrip("/")
        parent = self.find(path.rpartition("/")[0] or "/")
        if parent.kind != "directory":
            raise InvalidPayload("the parent is no directory")
        if path.startswith("/private") and peer.session is None:
            raise PermissionDenied("CREATE_FILE is needed there")
        if path in self.nodes:
            raise AlreadyExists(f"{path!r} is there already")
        self.nodes[path] = Node(kind, peer.session)
        return self.nodes[path]

    def put(self, peer: Peer, path: str, data: bytes, arguments: dict[str, Any]) -> dict[str, Any]:
        node = self.nodes.get(path)
        version = 0 if node is None else len(node.contents)
        wanted = arguments.get("if_version")
        if wanted is not None and wanted != version:
            raise Conflict(f"it has version {version}, not {wanted}", details={"version": version})
        if node is None:
            if not arguments["create"]:
                raise NotFound(f"{path!r} is not there")
            node = self.add(peer, path, "file")
            node.contents = []
        elif node.kind != "file":
            raise InvalidPayload(f"{path!r} is no file")
        elif node.lock is not None and node.lock != arguments.get("lock"):
            raise Locked(f"{path!r} is locked")
        node.contents.append(data)
        self.tell(peer, "write" if version else "create", path)
        return {"item": self.item(path)}

    def tell(self, peer: Peer, action: str, path: str, source: str | None = None) -> None:
        self.log.insert(
            0,
            {
                "user": peer.session or "anonymous",
                "path": path,
                "action_type": action,
                "allowed": True,
                "outcome": "ok",
                "address": None,
                "details": None,
                "timestamp": NOW,
            },
        )
        for number, (watcher, watched) in list(self.watches.items()):
            if watcher.lost:
                del self.watches[number]
            elif path == watched or path.startswith(watched.rstrip("/") + "/"):
                change = {
                    "watch": number,
                    "action": action,
                    "path": path,
                    "source": source,
                    "type": "file",
                    "user": peer.session or "anonymous",
                    "at": NOW,
                }
                watcher.ask(cloud.Changed, change, 10).addErrback(lambda _: None)

    def below(self, path: str) -> list[str]:
        self.find(path)
        prefix = path.rstrip("/") + "/"
        return sorted(each for each in self.nodes if each.startswith(prefix) and each != "/")

    def page(self, paths: list[str], arguments: dict[str, Any]) -> dict[str, Any]:
        first = int(arguments.get("after") or 0)
        limit = arguments["limit"]
        following = first + limit
        return {
            "items": [self.item(path) for path in paths[first:following]],
            "next": str(following) if following < len(paths) else None,
        }

    # The responders

    def hello(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        token = arguments.get("token")
        known = token is not None and token.startswith("user ")
        peer.session = token.removeprefix("user ") if known else None
        limits = Limits()
        peer.conversation.receive_limit = limits.frame_authenticated if known else limits.frame_anonymous
        if not peer.greeted:
            peer.greeted = True
            peer.protocol.greeted()
        return {
            "version": 1,
            "session": "s",
            "token": token if known else f"stranger {secrets.token_hex(8)}",
            "authenticated": known,
            "fresh": token is not None and not known,
            "recovered": False,
            "heartbeat": 25,
            "limits": {
                "frame": limits.frame_anonymous,
                "frame_authenticated": limits.frame_authenticated,
                "frame_to_client": limits.frame_to_client,
                "in_flight": limits.in_flight,
            },
            "features": [],
        }

    def stat(self, peer: Peer, a: dict[str, Any]) -> Any:
        return {"item": self.item(a["path"])}

    def list(self, peer: Peer, a: dict[str, Any]) -> Any:
        depth = a["path"].rstrip("/").count("/") + 1
        return self.page([each for each in self.below(a["path"]) if each.count("/") == depth], a)

    def tree(self, peer: Peer, a: dict[str, Any]) -> Any:
        return self.page(self.below(a["path"]), a)

    def find_by_name(self, peer: Peer, a: dict[str, Any]) -> Any:
        fits = [each for each in self.below(a["path"]) if fnmatch.fnmatch(each.rpartition("/")[2], a["pattern"])]
        return self.page(fits, a)

    def make_directory(self, peer: Peer, a: dict[str, Any]) -> Any:
        if a["parents"]:
            parts = a["path"].strip("/").split("/")
            for count in range(1, len(parts)):
                above = "/" + "/".join(parts[:count])
                if above not in self.nodes:
                    self.add(peer, above, "directory")
        self.add(peer, a["path"], "directory")
        return {"item": self.item(a["path"])}

    def make_file(self, peer: Peer, a: dict[str, Any]) -> Any:
        self.add(peer, a["path"], "file")
        return {"item": self.item(a["path"])}

    def write(self, peer: Peer, a: dict[str, Any]) -> Any:
        return self.put(peer, a["path"], a["data"], a)

    def upload(self, peer: Peer, a: dict[str, Any]) -> Any:
        key = a.get("upload")
        if key is None:
            key = secrets.token_hex(16)
            self.uploads[key] = Upload(a)
        upload = self.uploads.get(key)
        if upload is None:
            raise NotFound("there is no such upload")
        if upload.stream is not None:
            upload.stream.give_up(Conflict("it goes on elsewhere"))
        upload.stream = Incoming(Sink(upload))
        upload.stream.when_done().addErrback(lambda _: None)
        return Opening({"upload": key, "offset": len(upload.data)}, upload.stream)

    def commit(self, peer: Peer, a: dict[str, Any]) -> Any:
        upload = self.uploads.get(a["upload"])
        if upload is None:
            raise NotFound("there is no such upload")
        if upload.item is None:
            if len(upload.data) != a["size"] or hashlib.sha256(upload.data).hexdigest() != a["sha256"]:
                raise InvalidPayload("what came is not what was sent")
            upload.item = self.put(peer, upload.arguments["path"], bytes(upload.data), upload.arguments)
        return upload.item

    def discard(self, peer: Peer, a: dict[str, Any]) -> Any:
        self.uploads.pop(a["upload"], None)
        return {}

    def read(self, peer: Peer, a: dict[str, Any]) -> Any:
        node = self.file(a["path"])
        version = a.get("version")
        if version is not None and not 0 < version <= len(node.contents):
            raise NotFound("that version is not kept")
        data = node.data if version is None else node.contents[version - 1]
        offset = min(a["offset"], len(data))
        wanted = a.get("length")
        length = len(data) - offset if wanted is None else min(wanted, len(data) - offset)
        answer = {"item": self.item(a["path"]), "offset": offset, "length": length, "data": None}
        if length <= cloud.INLINE:
            return {**answer, "data": data[offset : offset + length], "stream": None}
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            source = FileSource(os.dup(file.fileno()), offset, length, deferToThread)
        stream = Outgoing(source)
        stream.when_done().addErrback(lambda _: None)
        return Opening(answer, stream)

    def delete(self, peer: Peer, a: dict[str, Any]) -> Any:
        node = self.find(a["path"])
        if a.get("type") not in (None, node.kind):
            raise InvalidPayload(f"it is a {node.kind}")
        for path in [a["path"].rstrip("/"), *self.below(a["path"])]:
            self.deleted[len(self.deleted) + 1] = (path, self.nodes.pop(path))
        self.tell(peer, "delete", a["path"])
        return {}

    def move(self, peer: Peer, a: dict[str, Any]) -> Any:
        self.find(a["path"])
        if a["to"] in self.nodes:
            raise AlreadyExists("something is there")
        for path in [a["path"], *self.below(a["path"])]:
            self.nodes[a["to"] + path[len(a["path"]) :]] = self.nodes.pop(path)
        self.tell(peer, "move", a["to"], a["path"])
        return {"item": self.item(a["to"])}

    def copy(self, peer: Peer, a: dict[str, Any]) -> Any:
        node = self.file(a["path"])
        self.add(peer, a["to"], "file").contents = list(node.contents[-1:])
        return {"item": self.item(a["to"])}

    def versions(self, peer: Peer, a: dict[str, Any]) -> Any:
        found = [
            {"version": number, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "at": NOW, "by": None}
            for number, data in enumerate(self.file(a["path"]).contents, 1)
        ]
        return {"versions": found[::-1]}

    def restore(self, peer: Peer, a: dict[str, Any]) -> Any:
        if a.get("deleted") is not None:
            path, node = self.deleted.pop(a["deleted"])
            self.nodes[path] = node
            return {"item": self.item(path)}
        node = self.file(a["path"])
        node.contents.append(node.contents[a["version"] - 1])
        return {"item": self.item(a["path"])}

    def deleted_items(self, peer: Peer, a: dict[str, Any]) -> Any:
        return {
            "items": [
                {"id": key, "path": path, "type": node.kind, "size": 0, "deleted_at": NOW, "deleted_by": None}
                for key, (path, node) in self.deleted.items()
            ],
            "next": None,
        }

    def assign(self, peer: Peer, a: dict[str, Any]) -> Any:
        name = a["user"]["name"] or str(a["user"]["id"])
        self.roles.append(
            {
                "path": a["path"],
                "user": name,
                "role": a["role"],
                "expires_at": a["expires_at"],
                "valid_from": a["valid_from"],
                "valid_until": a["valid_until"],
            }
        )
        return {
            "user_assigned": f"username: {name}; id: 1",
            "cloud_relative_path": a["path"],
            "role": a["role"],
            "status": "role assigned successfully",
        }

    def unassign(self, peer: Peer, a: dict[str, Any]) -> Any:
        kept = [each for each in self.roles if (each["path"], each["user"]) != (a["path"], a["user"]["name"])]
        removed, self.roles = len(self.roles) - len(kept), kept
        return {"removed": removed}

    def assigned(self, peer: Peer, a: dict[str, Any]) -> Any:
        return {"roles": [each for each in self.roles if each["path"] == a["path"]]}

    def permissions(self, peer: Peer, a: dict[str, Any]) -> Any:
        return {"permissions": ["READ_FILE"] + (["WRITE_FILE"] if peer.session else [])}

    def actions(self, peer: Peer, a: dict[str, Any]) -> Any:
        return {"actions": self.log[: a["limit"]], "next": None}

    def lock(self, peer: Peer, a: dict[str, Any]) -> Any:
        node = self.file(a["path"])
        if node.lock is not None and node.lock != a.get("lock"):
            raise Locked("somebody has it")
        node.lock = node.lock or secrets.token_hex(16)
        return {"lock": node.lock, "until": NOW}

    def unlock(self, peer: Peer, a: dict[str, Any]) -> Any:
        self.file(a["path"]).lock = None
        return {}

    def watch(self, peer: Peer, a: dict[str, Any]) -> Any:
        self.find(a["path"])
        number = len(self.asked) * 1_000 + len(self.watches) + 1
        while number in self.watches:
            number += 1
        self.watches[number] = (peer, a["path"])
        return {"watch": number}

    def unwatch(self, peer: Peer, a: dict[str, Any]) -> Any:
        if self.watches.pop(a["watch"], None) is None:
            raise NotFound("there is no such watch")
        return {}

    def responders(self) -> Responders:
        return Responders(
            {
                Hello: self.hello,
                cloud.Stat: self.stat,
                cloud.List: self.list,
                cloud.Tree: self.tree,
                cloud.Find: self.find_by_name,
                cloud.MakeDirectory: self.make_directory,
                cloud.MakeFile: self.make_file,
                cloud.Write: self.write,
                cloud.Upload: self.upload,
                cloud.Commit: self.commit,
                cloud.Discard: self.discard,
                cloud.Read: self.read,
                cloud.Delete: self.delete,
                cloud.Move: self.move,
                cloud.Copy: self.copy,
                cloud.Versions: self.versions,
                cloud.Restore: self.restore,
                cloud.Deleted: self.deleted_items,
                cloud.Assign: self.assign,
                cloud.Unassign: self.unassign,
                cloud.Roles: self.assigned,
                cloud.OwnPermissions: self.permissions,
                cloud.Log: self.actions,
                cloud.Lock: self.lock,
                cloud.Unlock: self.unlock,
                cloud.Watch: self.watch,
                cloud.Unwatch: self.unwatch,
            }
        )


def main(port: int, folder: str | None) -> None:
    globalLogPublisher.addObserver(textFileLogObserver(sys.stderr))
    tls = None
    if folder is not None:
        own = Secrets(Path(folder))
        own.open()
        tls = ServerTLS(own.certificate_path, own.key_path)
    endpoint = choose_endpoint(reactor, port, "127.0.0.1", folder is not None, None)
    factory: Any = ServerFactory(Cloud().responders(), reactor)
    listening = Deferred.fromCoroutine(listen(endpoint, factory, tls))
    listening.addCallback(lambda _: print("READY", flush=True))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
