"""The settings of a service: plain data, so that worker processes can be given them."""

from dataclasses import dataclass, field
from pathlib import Path

from facesearch.core.paths import DETAIL, MIN_FACE

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client, or all clients together, may ask of a process."""

    photo_bytes: int = 32 * MIB
    request_bytes: int = 256 * MIB
    held_bytes: int = 512 * MIB  # of all bodies that are being received or worked on
    photos: int = 1000  # in a request
    pixels: int = 100_000_000  # of a photo
    faces: int = 200  # in a photo
    head_seconds: float = 10  # until a request line and its headers are there
    pause_seconds: float = 10  # between two pieces of a body, and for the client to read an answer
    body_seconds: float = 120  # until the whole body is there
    work_seconds: float = 60  # until a request is answered
    threads: int = 16  # requests that are worked on at once
    waiting: int = 48  # requests that wait for their turn
    connections: int = 512


@dataclass(frozen=True, slots=True)
class Token:
    """A secret and the role of whoever sends it."""

    role: str
    secret: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a service."""

    gallery: Path | str  # a folder, or the URL of a database
    model: Path
    detector: str | None = None
    precision: str | None = None
    detail: int = DETAIL
    min_face: float = MIN_FACE
    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    key: Path | None = None
    tokens: tuple[Token, ...] = ()
    host_names: tuple[str, ...] = ()  # that requests may name, beside addresses and localhost
    imports: dict[str, Path] = field(default_factory=dict)  # folders that jobs may enroll, by name
    secret: bytes | None = None  # what opens an encrypted gallery
    limits: Limits = Limits()
    stop_seconds: int = 30  # for requests that are under way when the service is stopped
