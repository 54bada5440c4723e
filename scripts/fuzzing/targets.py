"""Every target by its name, with its seeds; and where its findings are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from fuzzing import pure, seeds
from fuzzing.conversation import conversation
from fuzzing.server import server

#: What a target is given, and how large at most: longer inputs find nothing new, and slowly.
TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]], int]] = {
    "frames": (pure.frames, seeds.frames, 1_024),
    "codec": (pure.codec, seeds.codec, 1_024),
    "conversation": (conversation, seeds.conversation, 4_096),
    "server": (server, seeds.server, 4_096),
    "schema": (pure.schema, seeds.schema, 2_048),
    "cloud_paths": (pure.cloud_paths, seeds.cloud_paths, 512),
}

FINDINGS = seeds.VECTORS / "fuzz"


def findings(name: str) -> list[Path]:
    """The inputs that ever made a target fail."""
    return sorted((FINDINGS / name).glob("*")) if (FINDINGS / name).is_dir() else []
