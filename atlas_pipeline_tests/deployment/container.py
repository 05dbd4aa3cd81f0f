"""One container by hand: `python container.py SPEC.json`, as root, runs a command in namespaces of its own.

Belongs here: what a container runtime does for one process: its network, file system, user and signals. Does not belong
here: which containers there are (`platform.py`). It uses the standard library only, and is a process of its own because
namespaces are entered once. It passes SIGTERM and SIGINT on, and ends with the code of the command.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWIPC, _CLONE_NEWNET = 0x20000, 0x20000000, 0x8000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_libc = ctypes.CDLL(None, use_errno=True)


def main(spec: dict[str, Any]) -> int:
    """Run the command of `spec` (see `platform.py`), and return its exit code."""
    _call(_libc.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with Path("/run/netns", spec["network"]).open() as namespace:
        _call(_libc.setns, namespace.fileno(), _CLONE_NEWNET)
    if spec.get("memory_group"):
        Path(spec["memory_group"], "cgroup.procs").write_text(str(os.getpid()))
    _call(_libc.unshare, _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC)
    return _parent(lambda: _first(spec))


def _first(spec: dict[str, Any]) -> int:
    """Process 1 of the container: the command itself, or with `init` a parent that takes up orphans."""
    _file_system(spec)
    os.chroot(spec["root"])
    os.chdir(spec["folder"])
    os.setgroups([])
    os.setgid(spec["group"])
    os.setuid(spec["user"])
    _call(_libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Who becomes another user forgets it. With process 1 the kernel ends all others of the container.
    _call(_libc.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if spec["init"]:
        return _parent(lambda: _execute(spec))
    return _execute(spec)


def _execute(spec: dict[str, Any]) -> int:
    try:
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    except OSError as error:
        print(f"cannot execute {spec['command'][0]}: {error.strerror}", file=sys.stderr)
        return 127


def _parent(child: Any) -> int:
    """Fork; pass signals on to the child and take up all that end, until the child does."""
    blocked = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    pid = os.fork()
    if not pid:
        _call(_libc.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for one in blocked:
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        os._exit(child())
    for one in blocked:
        signal.signal(one, lambda number, frame: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _file_system(spec: dict[str, Any]) -> None:
    """The root: an overlay over a folder, with volumes, secrets and temporary folders, read-only where said."""
    _mount("--make-rprivate", "/")
    root, layers = Path(spec["root"]), Path(spec["root"]).parent
    _mount("-t", "tmpfs", "tmpfs", str(layers))
    for name in ("upper", "work", root.name):
        (layers / name).mkdir()
    options = f"lowerdir={spec['image']},upperdir={layers / 'upper'},workdir={layers / 'work'}"
    _mount("-t", "overlay", "overlay", "-o", options, str(root))
    for path, text in spec["files"].items():
        _place(root, path).write_text(text)
    for path, mode in spec["modes"].items():
        _folder(root, path).chmod(mode)
    _mount("-t", "proc", "proc", str(_folder(root, "/proc")))
    _mount("--rbind", "/dev", str(_folder(root, "/dev")))
    for target, options in spec["tmpfs"]:
        _mount("-t", "tmpfs", "tmpfs", "-o", options, str(_folder(root, target)))
    for source, target, read_only in spec["binds"]:
        place = _folder(root, target) if Path(source).is_dir() else _place(root, target)
        if not place.exists():
            place.touch()
        _mount("--bind", source, str(place))
        if read_only:
            _mount("-o", "remount,bind,ro", str(place))
    if spec["read_only"]:
        _mount("-o", "remount,ro", str(root))


def _under(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _folder(root: Path, path: str) -> Path:
    place = _under(root, path)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _place(root: Path, path: str) -> Path:
    place = _under(root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _call(function: Any, *arguments: int) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), function.__name__)


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
