"""All services of docker/compose.yaml on this machine, without docker: started by health, restarted, stopped.

Belongs here: what compose does with services. Does not belong here: one container (`container.py`), and what the file
says (`compose.py`).

Each service has a network namespace with an address of its own on one bridge, and finds the others by name. It runs as
its user, with the memory of its limit, on a root file system that is read-only where compose says so: that of an
image where there is one of ours, else an overlay over this machine's. Postgres and Redis are those of this machine,
started as their images do.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests.deployment import compose, names
from atlas_pipeline_tests.deployment.compose import Service
from atlas_pipeline_tests.images import Image

PROGRAMS = ("ip", "nsenter", "redis-server", "nginx")
_MEMORY = Path("/sys/fs/cgroup/memory")
_HERE = Path(__file__).parent
_BIN = Path(sys.executable).parent
_PATH = f"{_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENTRY = {
    "postgres": ["/bin/sh", str(_HERE / "postgres.sh")],
    "atlas": ["atlas"],
    "atlas-gateway": ["/usr/local/bin/gateway"],
}
_STOP = {"postgres": signal.SIGINT}
"""The stop signal of an image, where it is not SIGTERM."""
_USERS = {"postgres": "999:999"}


class Container:
    """A service that runs, or did: its process, its address, its log."""

    def __init__(self, service: Service, spec: Path, address: str, log: Path):
        self.service, self.address, self.log, self._spec = service, address, log, spec
        self.starts = 0
        log.touch()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: threading.Thread | None = None

    def start(self) -> None:
        """Start it, and again whenever it ends by itself, if compose says so."""
        self._stopping.clear()
        self._launch()
        self._watch = threading.Thread(target=self._keep, daemon=True)
        self._watch.start()

    def stop(self, seconds: float = 60) -> int | None:
        """SIGTERM, as `docker compose stop`, and SIGKILL when it has not ended in time. Returns its exit code."""
        self._stopping.set()
        process = self._process
        if process is None:
            return None
        process.send_signal(_STOP.get(self.service.name, signal.SIGTERM))
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            process.wait()
        if self._watch:
            self._watch.join()
        return process.returncode

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when the machine runs out of memory."""
        if self._process:
            self._process.kill()

    def wait(self, seconds: float) -> int:
        """The exit code of one that ends by itself."""
        assert self._process
        return self._process.wait(seconds)

    def run(self, command: list[str], seconds: float = 60) -> tuple[int, str]:
        """A command inside, as `docker compose exec`: its exit code and what it printed."""
        spec = json.loads(self._spec.read_text())
        variables = [f"{name}={value}" for name, value in spec["environment"].items()]
        enter = ["nsenter", "--target", str(self._first()), "--mount", "--net", "--pid", "--ipc", "--root"]
        user = ["--wd", "--setuid", str(spec["user"]), "--setgid", str(spec["group"])]
        done = subprocess.run(
            [*enter, *user, "env", "-i", *variables, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=seconds,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def is_healthy(self) -> bool:
        """What its health check says now."""
        assert self.service.health
        try:
            return self.run(self.service.health)[0] == 0
        except (subprocess.TimeoutExpired, ProcessLookupError):
            return False

    def is_running(self) -> bool:
        """Whether it has a process."""
        return self._process is not None and self._process.poll() is None

    def most_memory(self) -> int | None:
        """Bytes that it held at most, files in the cache included; null where this machine does not count."""
        group = json.loads(self._spec.read_text())["memory_group"]
        return int(Path(group, "memory.max_usage_in_bytes").read_text()) if group else None

    def _first(self) -> int:
        """Its process 1, as this machine sees it."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with contextlib.suppress(FileNotFoundError):
            if found := children.read_text().split():
                return int(found[0])
        raise ProcessLookupError(self.service.name)

    def _launch(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(_HERE / "container.py"), str(self._spec)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.starts += 1

    def _keep(self) -> None:
        """Start it again when it ends, later each time if it does at once, as docker does."""
        pause = 0.1
        while True:
            assert self._process
            begin = time.monotonic()
            self._process.wait()
            pause = 0.1 if time.monotonic() - begin > 10 else min(pause * 2, 60)
            if not self.service.restarts or self._stopping.wait(pause):
                return
            self._launch()


class Platform:
    """The services of a folder with compose.yaml, .env and secrets/. Data stays in `data`, for the next one."""

    def __init__(self, folder: Path, data: Path, images: Mapping[str, Image]):
        self.services = compose.read(folder / "compose.yaml")
        self._data = data
        self._id = uuid.uuid4().hex[:6]
        self._net = f"10.{100 + os.getpid() % 100}.{uuid.uuid4().int % 256}"
        self._stack = contextlib.ExitStack()
        self._images = images
        self.containers: dict[str, Container] = {}
        self.ready_seconds = 0.0

    def __enter__(self) -> "Platform":
        with self._stack:
            self._stack.enter_context(self._network())
            for name, service in self.services.items():
                self.containers[name] = self._container(service)
            for container in self.containers.values():
                self._stack.callback(container.stop, 0)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Container:
        return self.containers[name]

    def up(self, seconds: float = 180) -> None:
        """Start what does not run, each after what it depends on, until all are healthy. Raises TimeoutError."""
        begin = time.monotonic()
        todo, healthy, done = dict(self.services), set[str](), set[str]()
        started = {name for name, one in self.containers.items() if one.is_running()}
        while todo:
            for name, service in list(todo.items()):
                container = self.containers[name]
                if name not in started:
                    reached = {"service_healthy": healthy, "service_completed_successfully": done}
                    if all(other in reached[condition] for other, condition in service.after.items()):
                        container.start()
                        started.add(name)
                elif service.health is None:
                    if not container.is_running():
                        assert container.wait(0) == 0, f"{name} failed:\n{container.log.read_text()}"
                        done.add(name)
                        del todo[name]
                elif container.is_healthy():
                    healthy.add(name)
                    del todo[name]
            if time.monotonic() - begin > seconds:
                logs = "\n".join(f"{name}:\n{self.containers[name].log.read_text()[-3000:]}" for name in todo)
                raise TimeoutError(f"not ready after {seconds} s: {', '.join(todo)}\n{logs}")
            time.sleep(0.1)
        self.ready_seconds = time.monotonic() - begin

    def down(self) -> None:
        """Stop all, each once those that need it have ended."""
        running = {name for name, one in self.containers.items() if one.is_running()}
        while running:
            needed = {other for name in running for other in self.services[name].after}
            last = running - needed
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda name: self.containers[name].stop(), last))
            running -= last

    def _container(self, service: Service) -> Container:
        number = list(self.services).index(service.name) + 10
        network, address = f"atlas-{self._id}-{number}", f"{self._net}.{number}"
        _ip("link", "add", f"a{self._id}{number}", "type", "veth", "peer", "name", "eth0", "netns", network)
        _ip("link", "set", f"a{self._id}{number}", "master", f"a{self._id}", "up")
        _ip("-n", network, "addr", "add", f"{address}/24", "dev", "eth0")
        for link in ("eth0", "lo"):
            _ip("-n", network, "link", "set", link, "up")
        place = self._data / "containers" / service.name
        (place / "layers").mkdir(parents=True, exist_ok=True)
        spec = place / "spec.json"
        spec.write_text(json.dumps(self._spec(service, network, place / "layers" / "root")))
        return Container(service, spec, address, place / "log")

    def _spec(self, service: Service, network: str, root: Path) -> dict[str, Any]:
        kind = service.image.rpartition("/")[2].partition(":")[0]
        image = self._images.get(kind)
        user, group = map(int, (service.user or _USERS[kind]).split(":"))
        binds = [[str(self._volume(source, user, group)), *where] for source, *where in service.volumes]
        binds += [[str(file), target, True] for target, file in service.secrets.items()]
        files = {"/etc/hosts": "127.0.0.1 localhost\n", "/etc/resolv.conf": f"nameserver {self._net}.1\n"}
        environment = {"HOME": "/tmp", "PATH": _PATH, **service.environment}
        if image is None:
            # Users that the images have, a `.env` that is a developer's own, and what the gateway's image holds.
            passwd = "".join(f"{name}:x:{uid}:{uid}::/tmp:/bin/sh\n" for name, uid in _MADE.items())
            files |= {"/etc/passwd": Path("/etc/passwd").read_text() + passwd}
            # The code and its Python may be on a mount of their own, or where a container has another.
            binds += [[str(one), str(one), True] for one in (PROJECT_ROOT, Path(sys.prefix), Path(sys.base_prefix))]
            binds += [["/dev/null", str(one), True] for one in [PROJECT_ROOT / ".env"] if one.exists()]
            environment |= {"PYTHONPATH": str(PROJECT_ROOT), "POSTGRES_BIN": str(EmbeddedPostgres.bin())}
            binds += [
                [str(_GATEWAY / one), target, True] for one, target in _OF_GATEWAY.items() if kind == "atlas-gateway"
            ]
        else:
            environment = dict(one.split("=", 1) for one in image.config["Env"]) | service.environment
        return {
            "network": network,
            "memory_group": self._memory_group(network, service.memory),
            "image": str(image.root if image else "/"),
            "root": str(root),
            "folder": "/",
            "files": files,
            "modes": {} if image else {str(one): 0o755 for one in _closed_folders()},
            "tmpfs": [(one.partition(":")[0], one.partition(":")[2]) for one in service.tmpfs],
            "binds": binds,
            "read_only": service.read_only,
            "init": service.init,
            "user": user,
            "group": group,
            "environment": environment,
            "command": [*_ENTRY.get(kind, []), *service.command],
        }

    def _memory_group(self, name: str, limit: int) -> str | None:
        """A control group with the limit of compose, where this machine lets us make one."""
        group = _MEMORY / name
        try:
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text(str(limit))
        except OSError:
            return None
        self._stack.callback(_remove_group, group)
        return str(group)

    def _volume(self, source: str, user: int, group: int) -> Path:
        if source.startswith("/"):
            return Path(source)
        place = self._data / "volumes" / source
        if not place.exists():
            place.mkdir(parents=True)
            os.chown(place, user, group)
        return place

    @contextlib.contextmanager
    def _network(self) -> Iterator[None]:
        """A bridge, a name server on it, and a namespace for each service."""
        bridge = f"a{self._id}"
        with contextlib.ExitStack() as stack:
            _ip("link", "add", bridge, "type", "bridge")
            stack.callback(_ip, "link", "del", bridge)
            _ip("addr", "add", f"{self._net}.1/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
            for number, _ in enumerate(self.services, 10):
                _ip("netns", "add", f"atlas-{self._id}-{number}")
                stack.callback(_ip, "netns", "del", f"atlas-{self._id}-{number}")
            addresses = {name: f"{self._net}.{number}" for number, name in enumerate(self.services, 10)}
            stack.enter_context(names.serving(f"{self._net}.1", addresses))
            yield


_MADE = {"atlas": 10001, "gateway": 10002, "postgres": 999}
_GATEWAY = PROJECT_ROOT / "docker" / "gateway"
_OF_GATEWAY = {".": "/opt/gateway", "gateway": "/usr/local/bin/gateway"}


def _closed_folders() -> list[Path]:
    """Folders above the code and its Python that only root may pass, on some machines."""
    places = {PROJECT_ROOT, Path(sys.executable).resolve(), _BIN.absolute()}
    parents = {parent for place in places for parent in place.parents}
    return sorted(one for one in parents if not one.stat().st_mode & 0o001)


def _remove_group(group: Path) -> None:
    """Remove a control group once the last of its processes is gone, which takes a moment after its parent is."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
