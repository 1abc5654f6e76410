"""Python runs this first in the tested ComfyUI: it writes down what the pack does that it must not do.

`LML_AUDIT_PACK` is the folder of the code that is watched, `LML_AUDIT_WRITABLE` (os.pathsep between) the folders it may
write to, `LML_AUDIT_LOG` the file of findings. An event counts if the code is anywhere on the stack.
"""

import os
import sys

NEVER = (
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile"),
    *("shutil.rmtree", "os.chmod"),
)
TEXT = ("compile", "exec")
WRITES = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1}
# By event: how many of its first arguments are paths.

PACK = os.environ["LML_AUDIT_PACK"]
WRITABLE = os.environ["LML_AUDIT_WRITABLE"].split(os.pathsep)
LOG = os.open(os.environ["LML_AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def code_of_the_pack(directly):
    """Where in the pack the call came from, or None. `directly`: only the calling frame counts."""
    frame = sys._getframe(1).f_back  # may be None: Python itself opens the main program
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACK):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = None if directly else frame.f_back
    return None


def is_outside(path):
    """Whether a path is in none of the folders that may be written to. Paths below __pycache__ are Python's own."""
    if isinstance(path, int):
        return False
    real = os.path.realpath(os.fsdecode(path))
    if "__pycache__" in real or real == os.devnull:
        return False
    return not any(real.startswith(folder + os.sep) for folder in WRITABLE)


def is_forbidden(event, arguments):
    if event in NEVER or event in TEXT:
        return True
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and is_outside(path)
    return any(is_outside(path) for path in arguments[: WRITES[event]])


def watch(event, arguments):
    if event == "open" or event in NEVER or event in TEXT or event in WRITES:
        place = code_of_the_pack(directly=event in TEXT)
        if place is not None and is_forbidden(event, arguments):
            os.write(LOG, f"{place}: {event} {arguments!r}\n".encode())


sys.addaudithook(watch)
