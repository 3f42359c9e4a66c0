"""Locks that programs on one machine share: a file in a folder, held by one program at a time."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from facesearch.core import secure_files
from facesearch.core.errors import GalleryError

# what a network file system without locks answers
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


@contextmanager
def locked(folder: Path, seconds: float, name: str = "lock") -> Iterator[None]:
    """Hold a folder's lock; `lock`, the default, is that of the gallery's only writer.

    Raises GalleryError if another program keeps it for longer than `seconds`, or if the file system
    has no locks.
    """
    lock = FileLock(folder / name, timeout=seconds, mode=secure_files.FILE)
    try:
        lock.acquire()
    except Timeout as error:
        raise GalleryError(
            f"{folder}: another facesearch has been writing for {seconds} "
            "seconds; try again when it is done"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise GalleryError(
            f"{folder}: this file system does not lock files ({error.strerror}), so "
            "that two programs could write at once; keep the gallery on a local disk"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Try to hold a lock, a file of its own, without waiting; gives whether it is held.

    Raises OSError.
    """
    path.parent.mkdir(mode=secure_files.FOLDER, parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, mode=secure_files.FILE)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
