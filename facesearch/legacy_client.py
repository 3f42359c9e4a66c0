"""A gallery that a service keeps: the interface of `Gallery`, over HTTP."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from facesearch.core import errors
from facesearch.core.errors import FacesearchError, GalleryError, PhotoError
from facesearch.core.face import Box
from facesearch.core.progress import Progress, Silent

if TYPE_CHECKING:
    import httpx

    from facesearch.gallery.change import Change, Rejected
    from facesearch.gallery.legacy import EnrolledPhoto, GalleryInfo, Identification
    from facesearch.gallery.profile import Profile
    from facesearch.gallery.purge import PurgeTarget
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.decision import Candidate
    from facesearch.matching.rejection import Rejection
    from facesearch.storage.audit_log import Search
    from facesearch.storage.records import Person, StoredFace

TOKEN, TOKEN_FILE = "FACESEARCH_TOKEN", "FACESEARCH_TOKEN_FILE"
SECONDS = 120
MOST_PHOTOS, MOST_BYTES = 32, 64 << 20  # in a request; more of them become a job

Which = Literal["only", "largest", "all"]


class Client:
    """People with their faces, at a service; answers are those of `Gallery`.

    Photos are sent, and told of under the paths that they were given by; those of the gallery are
    told of by their bare names. Every method raises the errors that the gallery would raise, and
    GalleryError if the service cannot be reached.
    """

    def __init__(self, url: str, token: str | None = None, *, verify: bool | str = True) -> None:
        """token: else FACESEARCH_TOKEN, or what is in the file FACESEARCH_TOKEN_FILE."""
        import httpx

        self.url = url.rstrip("/")
        token = token or _token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=SECONDS, verify=verify
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # People

    def people(self) -> "list[Person]":
        """Everybody, by name."""
        from facesearch.storage.records import Person

        found: list[Person] = []
        while True:
            asked = {"offset": len(found), "limit": 1000}
            told = self._get("/v1/people", **asked)
            for row in told["people"]:
                del row["face"]
                found.append(Person(**row))
            if len(found) >= told["total"] or not told["people"]:
                return found

    def person(self, name: str) -> "Person":
        from facesearch.storage.records import Person

        told = self._get(_of(name))
        fields = {key: told[key] for key in ("name", "photos", "created", "expires", "consent")}
        return Person(faces=told["count"], **fields)

    def faces_of(self, name: str) -> "list[StoredFace]":
        from facesearch.storage.records import StoredFace

        told = self._get(_of(name))
        return [
            StoredFace(row["id"], told["name"], Path(row["photo"]), Box(*row["box"]))
            for row in told["faces"]
        ]

    def profile(self, name: str) -> "Profile":
        """The faces of a person, and how typical they are, without embeddings."""
        import numpy as np

        from facesearch.gallery.profile import Profile, ProfileFace
        from facesearch.storage.faces import EnrolledFace

        told = self._get(_of(name))
        photos: dict[str, int] = {}
        faces = []
        for row in told["faces"]:
            face = EnrolledFace(
                number=row["id"],
                person=0,
                photo=photos.setdefault(row["photo"], len(photos)),
                path=Path(row["photo"]),
                sha256="",
                added=row["added"],
                box=Box(*row["box"]),
                flip_consistency=row["agreement"],
                embedding=np.empty(0, np.float32),
            )
            faces.append(ProfileFace(face, row["distance"]))
        return Profile(told["name"], faces)

    def rename(self, old: str, new: str) -> None:
        self._ask("PATCH", _of(old), json={"name": new})

    def set_terms(
        self, name: str, *, expires: str | None = None, consent: str | None = None
    ) -> None:
        self._ask("PATCH", _of(name), json={"expires": expires, "consent": consent})

    def remove(self, name: str) -> int:
        return int(self._ask("DELETE", _of(name))["faces"])

    def kept_of(self, name: str) -> "list[PurgeTarget]":
        """Whom `purge` takes, but for those who were removed before."""
        from facesearch.gallery.purge import PurgeTarget

        found = [person for person in self.people() if person.name == name]
        return [PurgeTarget(each.name, each.faces, each.expires, False) for each in found]

    def purge(self, name: str) -> int:
        return int(self._ask("DELETE", _of(name), params={"purge": True})["faces"])

    def merge(self, name: str, other: str, *, force: bool = False) -> int:
        asked = {"other": other, "force": force}
        return int(self._ask("POST", f"{_of(name)}/merge", json=asked)["faces"])

    def split(self, name: str, numbers: Iterable[int], into: str, *, force: bool = False) -> int:
        asked = {"faces": list(numbers), "into": into, "force": force}
        return int(self._ask("POST", f"{_of(name)}/split", json=asked)["faces"])

    def changes(self) -> "list[Change]":
        """What can be undone, the latest first."""
        return [_change(row) for row in self._get("/v1/changes")["changes"]]

    def undo(self, event: int | None = None) -> "Change":
        done = self._ask("POST", "/v1/undo", json={"event": event})
        return _change({**done, "at": "", "action": done["undone"]})

    def reject(
        self, name: str, photo: Path, embedder: None = None, face: int | None = None
    ) -> "Rejected":
        fields = {} if face is None else {"face": str(face)}
        with _Opened([photo]) as sent:
            told = self._ask("POST", f"{_of(name)}/reject", files=[("photo", sent[0])], data=fields)
        return _rejected(told)

    def reject_face(self, name: str, number: int) -> "Rejected":
        return _rejected(self._ask("POST", f"{_of(name)}/reject", json={"face": number}))

    def rejections(self) -> "list[Rejection]":
        import numpy as np

        from facesearch.matching.rejection import Rejection

        nothing = np.empty(0, np.float32)
        return [
            Rejection(
                row["rejection"], row["name"], row["sha256"], Box(*row["box"]), nothing, row["at"]
            )
            for row in self._get("/v1/rejections")["rejections"]
        ]

    def photos_of_rejections(self) -> dict[str, Path]:
        rows = self._get("/v1/rejections")["rejections"]
        return {row["sha256"]: Path(row["photo"]) for row in rows if row["photo"] is not None}

    def forget(self, number: int) -> None:
        self._ask("DELETE", f"/v1/rejections/{number}")

    # The gallery as a whole

    def info(self) -> "GalleryInfo":
        """folder: the address of the service."""
        from facesearch.gallery.legacy import GalleryInfo

        return GalleryInfo(**{**self._get("/v1/gallery"), "folder": self.url})

    def review(self, fpir: float | None = None) -> Iterator[dict[str, Any]]:
        """What is probably wrong, as rows; see Finding."""
        yield from self._get("/v1/review", fpir=fpir)["findings"]

    def searches(self, since: datetime | None = None) -> "list[Search]":
        """What was searched for, oldest first, as far as it was recorded."""
        from facesearch.storage.audit_log import Search

        after = None if since is None else since.isoformat()
        return [Search(**row) for row in self._get("/v1/audit", since=after)["searches"]]

    # Searching

    def identify(
        self,
        photos: Iterable[Path],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        prior: float = 0.5,
        progress: Progress | None = None,
    ) -> "Iterator[tuple[Path, list[Identification] | PhotoError]]":
        """Every face of every photo, with one of the four answers; see Gallery.identify."""
        progress = progress or Silent()
        paths = list(photos)
        progress.start("identifying", len(paths))
        for path in paths:
            try:
                asked = {"fpir": fpir, "threshold": threshold, "top": top, "prior": prior}
                with _Opened([path]) as sent:
                    told = self._ask(
                        "POST", "/v1/identify", files=[("photo", sent[0])], params=_given(asked)
                    )
            except PhotoError as error:
                progress.advance()
                yield path, error
                continue
            progress.advance()
            yield path, [_identification(path, row) for row in told["faces"]]

    def compare(
        self,
        a: Path,
        b: Path,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        prior: float = 0.5,
    ) -> "Comparison":
        """Compare the largest usable faces of two photos; see `decide.compare`."""
        from facesearch.matching.comparison import Comparison

        asked = _given({"fmr": fmr, "threshold": threshold, "prior": prior})
        with _Opened([a, b]) as sent:
            files = [("a", sent[0]), ("b", sent[1])]
            told = self._ask("POST", "/v1/compare", files=files, params=asked)
        fields = ("answer", "distance", "threshold", "probability", "reason")
        return Comparison(a, b, *(told[key] for key in fields))

    def search(
        self,
        embedding: Iterable[float],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
    ) -> "list[Candidate]":
        """The people nearest to a unit vector of the service's model, (D,)."""
        vector = [float(value) for value in embedding]
        asked = {"embedding": vector, "fpir": fpir, "threshold": threshold, "top": top}
        told = self._ask("POST", "/v1/search", json=_given(asked))
        return [_candidate(row) for row in told["candidates"]]

    # Enrolling

    def enroll(
        self,
        photos: Iterable[tuple[str, Path]],
        embedder: None = None,
        progress: Progress | None = None,
        which: Which = "only",
        *,
        insist: bool = False,
        dry_run: bool = False,
    ) -> "Iterator[EnrolledPhoto]":
        """Enrol photos; yields what became of each; see Gallery.enroll.

        Many become a job, which the service goes on with if this program ends.
        """
        progress = progress or Silent()
        asked = list(photos)
        progress.start("enrolling", len(asked))
        by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for name, path in asked:
            by_name[name].append(path)
        few = len(by_name) == 1 and len(list(_requests(asked))) == 1
        if few or dry_run:
            for name, paths in by_name.items():
                for some in _requests([(name, path) for path in paths]):
                    yield from self._enroll(
                        name, [path for _, path in some], progress, which, insist, dry_run
                    )
        else:
            yield from self._enroll_job(asked, progress, which, insist)

    def _enroll(
        self,
        name: str,
        paths: list[Path],
        progress: Progress,
        which: Which,
        insist: bool,
        dry_run: bool,
    ) -> "Iterator[EnrolledPhoto]":
        there, missing = _there(name, paths)
        for result in missing:
            progress.advance()
            yield result
        if not there:
            return
        fields = {"faces": which, "insist": str(insist), "dry_run": str(dry_run)}
        with _Opened(there) as sent:
            files = [("photos", each) for each in sent]
            told = self._ask("POST", f"{_of(name)}/faces", files=files, data=fields)
        paths_of = _Paths(there)
        for row in told["results"]:
            progress.advance()
            yield _enrolment(row, paths_of)

    def _enroll_job(
        self, asked: list[tuple[str, Path]], progress: Progress, which: Which, insist: bool
    ) -> "Iterator[EnrolledPhoto]":
        there = []
        for name, path in asked:
            found, missing = _there(name, [path])
            there += [(name, path) for path in found]
            for result in missing:
                progress.advance()
                yield result
        if not there:
            return
        fields = {"faces": which, "insist": str(insist)}
        requests = list(_requests(there))
        number = ""
        for place, some in enumerate(requests):
            more = {"name": some[0][0], "more": str(place < len(requests) - 1)}
            with _Opened([path for _, path in some]) as sent:
                files = [("photos", each) for each in sent]
                target = f"/v1/jobs/{number}/photos" if number else "/v1/jobs"
                data = more if number else {**more, **fields}
                number = self._ask("POST", target, files=files, data=data)["id"]
        paths_of = _Paths([path for _, path in there])
        for kind, told in self.events(number):
            if kind == "result":
                progress.advance()
                yield _enrolment(told, paths_of)
            elif kind == "end" and told["state"] != "done":
                reason = told["reason"] or f"the job was {told['state']}"
                raise FacesearchError(f"{self.url}: {reason}")

    def events(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a job tells, until it ends: `progress`, `result` and `end`, each with its fields.

        A connection that breaks off is taken up again where it was.
        """
        import httpx

        told = "0"
        while True:
            headers = {"Last-Event-ID": told}
            try:
                with self._http.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
                    if answer.is_error:
                        answer.read()
                        raise self._error(answer)
                    kind = ""
                    for line in answer.iter_lines():
                        key, _, value = line.partition(": ")
                        if key == "id":
                            told = value
                        elif key == "event":
                            kind = value
                        elif key == "data":
                            yield kind, json.loads(value)
                            if kind == "end":
                                return
            except httpx.RemoteProtocolError:  # stopped: it may be back already
                continue
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error

    # Requests

    def _get(self, path: str, **asked: Any) -> dict[str, Any]:
        return self._ask("GET", path, params=_given(asked))

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise self._error(answer)
        try:
            return dict(answer.json())
        except ValueError as error:
            raise GalleryError(f"{self.url}: no facesearch answers there") from error

    def _unreachable(self, error: Exception) -> GalleryError:
        reason = str(error) or type(error).__name__
        return GalleryError(f"{self.url}: cannot be reached ({reason})")

    def _error(self, answer: "httpx.Response") -> FacesearchError:
        """As the gallery would raise it."""
        try:
            told = answer.json()
            detail, name = str(told["detail"]), str(told.get("error", ""))
        except (ValueError, KeyError, TypeError):
            return GalleryError(f"{self.url}: answers with {answer.status_code}")
        kind = getattr(errors, name, None) if name else None
        if isinstance(kind, type) and issubclass(kind, FacesearchError):
            return kind(detail)
        if answer.status_code == 401:
            detail += f"; set {TOKEN}, or {TOKEN_FILE} to a file with it"
        return FacesearchError(f"{self.url}: {detail}")


class _Opened:
    """Photos open to be sent, each with its bare name. Raises PhotoError."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> list[tuple[str, IO[bytes]]]:
        for path in self._paths:
            try:
                self._files.append(path.open("rb"))
            except OSError as error:
                self.__exit__()
                raise PhotoError(f"{path}: cannot be read ({error.strerror})") from error
        return [(path.name, file) for path, file in zip(self._paths, self._files, strict=True)]

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


class _Paths:
    """The paths behind the bare names that a service tells, each given out once."""

    def __init__(self, paths: list[Path]) -> None:
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for path in paths:
            self._by_name[path.name].append(path)

    def taken(self, name: str) -> Path:
        there = self._by_name[name]
        return there.pop(0) if there else Path(name)


def _token() -> str | None:
    if given := os.environ.get(TOKEN):
        return given
    file = os.environ.get(TOKEN_FILE)
    if not file:
        return None
    try:
        return Path(file).read_text("utf-8").strip()
    except OSError as error:
        raise FacesearchError(f"{file}: cannot be read ({error.strerror})") from error


def _requests(asked: list[tuple[str, Path]]) -> Iterator[list[tuple[str, Path]]]:
    """Parts that fit into a request, each of one person."""
    some: list[tuple[str, Path]] = []
    size = 0
    for name, path in asked:
        more = path.stat().st_size if path.is_file() else 0
        full = len(some) >= MOST_PHOTOS or size + more > MOST_BYTES
        if some and (full or some[0][0] != name):
            yield some
            some, size = [], 0
        some.append((name, path))
        size += more
    if some:
        yield some


def _there(name: str, paths: list[Path]) -> "tuple[list[Path], list[EnrolledPhoto]]":
    """The photos that can be sent, and what became of the others."""
    from facesearch.gallery.legacy import EnrolledPhoto

    there, missing = [], []
    for path in paths:
        if path.is_file() and os.access(path, os.R_OK):
            there.append(path)
        else:
            reason = "cannot be read" if path.exists() else "no such file"
            missing.append(EnrolledPhoto(path, name, "skipped", reason, 0, error=True))
    return there, missing


def _of(name: str) -> str:
    return f"/v1/people/{quote(name, safe='')}"


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if value is not None}


def _change(row: dict[str, Any]) -> "Change":
    from facesearch.gallery.change import Change

    return Change(row["event"], row["at"], row["action"], row["what"], row.get("faces", 0))


def _rejected(row: dict[str, Any]) -> "Rejected":
    from facesearch.gallery.change import Rejected

    box = Box(*row["box"])
    line = f"a face was rejected as {row['name']}'s"
    touched, number, face = row["taken_out"], row["rejection"], row["face"]
    return Rejected(0, "", "reject", line, touched, number, face, box, row["copies"])


def _candidate(row: dict[str, Any]) -> "Candidate":
    from facesearch.matching.decision import Candidate

    nothing_known = float("nan")
    return Candidate(
        row["name"], row["distance"], Path(row["photo"]), nothing_known, row.get("face")
    )


def _identification(path: Path, row: dict[str, Any]) -> "Identification":
    from facesearch.gallery.legacy import Identification

    return Identification(
        photo=path,
        face=row["face"],
        box=Box(*row["box"]) if row["box"] else None,
        answer=row["answer"],
        name=row["name"],
        distance=row["distance"],
        threshold=row["threshold"],
        probability=row["probability"],
        reason=row["reason"],
        candidates=[_candidate(each) for each in row["candidates"]],
    )


def _enrolment(row: dict[str, Any], paths: _Paths) -> "EnrolledPhoto":
    from facesearch.gallery.legacy import EnrolledPhoto

    other = row["other"]
    return EnrolledPhoto(
        paths.taken(row["photo"]),
        row["name"],
        row["status"],
        row["reason"],
        row["faces"],
        held=row["held"],
        distance=row["distance"],
        nearest=Path(row["nearest"]) if row["nearest"] else None,
        other=_candidate(other) if other else None,
    )
