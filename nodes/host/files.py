"""Files in the user folder: there whole, or as they were before, on a full disk and when the process is killed."""

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

import folder_paths

ENDING = ".part"
OLD_SECONDS = 86400


def user_folder(name: str) -> Path:
    """The pack's folder `name` in ComfyUI's user folder; it need not exist."""
    return Path(folder_paths.get_user_directory()) / "default" / "lml_sampler" / name


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: it could not be written; the message names it, the reason and the remedy.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(path.parent)
        temporary = path.with_name(f".{uuid.uuid4().hex}{ENDING}")  # tempfile's are for their owner's eyes alone
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error.strerror}. What was there before is unchanged. "
            "Make room on the disk, or let ComfyUI write there, and run again."
        ) from error


def _delete_leftovers(folder: Path) -> None:
    """Delete what a killed process has left of its writes; a write that is under way is younger."""
    for path in folder.glob(f".*{ENDING}"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - OLD_SECONDS:
                path.unlink()
