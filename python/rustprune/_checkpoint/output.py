"""Where results go: under temporary names until they are whole."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rustprune._checkpoint.files import MASKS

if TYPE_CHECKING:
    from rustprune._checkpoint.files import Files


def check_output(files: Files, src: Path, out: Path, *, force: bool) -> None:
    """Check that ``out`` may be written."""
    here, there = src.resolve(), out.resolve()
    if here == there:
        raise ValueError(f"{out}: the output is the checkpoint itself; prune it in place")
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise ValueError(f"{out}: the output and the checkpoint {src} must not lie inside each other")
    check_absent(out, force=force)
    if out.exists() and src.is_dir() != out.is_dir():
        raise ValueError(f"{out}: expected a {'directory' if src.is_dir() else 'file'} to replace")
    if out.exists() and out.is_dir():
        ours = {os.path.normpath(name) for name in (*files.shards, *files.others)}
        for path in sorted(out.rglob("*")):
            name = str(path.relative_to(out))
            if not path.is_dir() and name not in ours and not name.endswith(MASKS):
                raise ValueError(f"{path}: not replaced, since the checkpoint {src} has no such file")


def check_masks(files: Files, out: Path | None, masks: Path, *, force: bool) -> None:
    """Check that the mask side file may be written, beside the output or inside it."""
    path = masks.resolve()
    if out and path.parent == out.resolve():
        if not masks.name.endswith(MASKS):
            raise ValueError(
                f"{masks}: expected a name in {MASKS} inside {out}, whose other files hold weights"
            )
        return
    if path in {shard.resolve() for shard in files.paths()} or (out and path == out.resolve()):
        raise ValueError(f"{masks}: the masks need a file of their own")
    check_absent(masks, force=force)


def check_absent(path: Path, *, force: bool) -> None:
    """Check that there is a directory to write in, and no file of that name unless it is to be replaced."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such directory")
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists; --force replaces it")


@contextmanager
def staged_directory(out: Path) -> Iterator[Path]:
    """Give a new directory that becomes ``out``, in place of what is there, when the block succeeds.

    Between two renames an old ``out`` is under a temporary name; a kill there leaves no ``out``.
    """
    staged = _make_beside(out)
    try:
        yield staged
        old = _make_beside(out) if out.exists() else None
        if old is not None:
            out.replace(old)
        try:
            staged.replace(out)
        except OSError:
            if old is not None:
                old.replace(out)
            raise
        if old is not None:
            shutil.rmtree(old)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def copy_others(files: Files, directory: Path) -> None:
    """Copy the files that hold no weights."""
    for name in files.others:
        copy = directory / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files.root / name, copy)


def _make_beside(out: Path) -> Path:
    out = out.absolute()
    for attempt in itertools.count():
        number = f"-{attempt}" if attempt else ""
        staged = out.with_name(f".{out.name}.rustprune-{os.getpid()}{number}.tmp")
        try:
            staged.mkdir()
        except FileExistsError:
            continue
        return staged
    raise AssertionError
