"""The templates of people in PostgreSQL, for pgvector to search there."""

import json

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.core.templates import templates
from facesearch.storage.engine import Engine
from facesearch.storage.row_checksums import checked_faces
from facesearch.storage.schema import face_rows, faces, people
from facesearch.storage.settings import KEY_RECORD, get_setting

TABLE, EXTENSION = "person_templates", "vector"
EXACT = 10_000  # up to so many people a search compares all; costs: docs/operations/scaling.md
NEIGHBOURS, BUILD = 16, 128  # of a node; candidates to place one (m, ef_construction)
CANDIDATES = 200  # of a search (hnsw.ef_search)
PEOPLE_AT_ONCE = 1000  # people in memory
MEMORY = "512MB"  # to build the graph in

# triggers empty a template when faces change; the end of the transaction computes it again
_MAKE = (
    f"CREATE TABLE {TABLE} (person INTEGER PRIMARY KEY, template vector(%d))",
    f"CREATE INDEX {TABLE}_stale ON {TABLE} (person) WHERE template IS NULL",
    f"""
CREATE FUNCTION {TABLE}_mark() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former INTEGER; latter INTEGER;
BEGIN
    IF TG_TABLE_NAME = 'people' THEN
        former := OLD.id;
    ELSE
        IF TG_OP <> 'INSERT' THEN former := OLD.person; END IF;
        IF TG_OP <> 'DELETE' THEN latter := NEW.person; END IF;
    END IF;
    INSERT INTO {TABLE} (person)
    SELECT DISTINCT number FROM unnest(ARRAY[former, latter]) AS number WHERE number IS NOT NULL
    ON CONFLICT (person) DO UPDATE SET template = NULL WHERE {TABLE}.template IS NOT NULL;
    RETURN NULL;
END $$""",
    f"""
CREATE TRIGGER {TABLE}_faces AFTER INSERT OR DELETE OR UPDATE OF person, embedding ON faces
FOR EACH ROW EXECUTE FUNCTION {TABLE}_mark()""",
    f"""
CREATE TRIGGER {TABLE}_people AFTER DELETE OR UPDATE OF removed ON people
FOR EACH ROW EXECUTE FUNCTION {TABLE}_mark()""",
)
_SET = f"""
INSERT INTO {TABLE} SELECT person, CAST(template AS vector)
FROM unnest(CAST(:people AS integer[]), CAST(:templates AS text[])) AS made (person, template)
ON CONFLICT (person) DO UPDATE SET template = excluded.template
"""
_INDEX = f"""
CREATE INDEX {TABLE}_nearest ON {TABLE} USING hnsw (template vector_l2_ops)
WITH (m = {NEIGHBOURS}, ef_construction = {BUILD})
"""
_DROP = f"DROP TABLE {TABLE}", f"DROP FUNCTION {TABLE}_mark() CASCADE"
_SENT = "vector_send(template) AS sent"
_DIMENSION = f"""
SELECT atttypmod FROM pg_attribute WHERE attname = 'template'
AND attrelid = to_regclass(quote_ident(current_schema()) || '.{TABLE}')
"""


def is_chosen(connection: sa.Connection) -> bool:
    """Whether the owner chose to search in the database (`gallery set search pgvector`)."""
    return get_setting(connection, "search") == "pgvector"


def update_templates(connection: sa.Connection, gallery: str) -> None:
    """Bring the templates up to date with the faces, at the end of a transaction.

    gallery: its name, for messages. Raises GalleryError without pgvector or in an encrypted
    gallery, and Damaged for a damaged row.
    """
    chosen = is_chosen(connection)
    there = _dimension(connection)
    dimension = get_setting(connection, "dimension") or ""
    wanted = int(dimension) if chosen and dimension.isdecimal() else 0
    if chosen and get_setting(connection, KEY_RECORD) is not None:
        raise GalleryError(
            f"{gallery}: encrypted faces cannot be searched in the database, which has no key; "
            "`facesearch gallery set search local` comes first"
        )
    if there is not None and there != wanted:
        _drop(connection)
        there = None
    if there is None and wanted:
        _make(connection, gallery, wanted)
    elif wanted:
        stale = sa.text(f"SELECT person FROM {TABLE} WHERE template IS NULL ORDER BY person")
        _fill(connection, gallery, wanted, list(connection.execute(stale).scalars()))
        connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE template IS NULL"))


def _drop(connection: sa.Connection) -> None:
    for statement in _DROP:
        connection.execute(sa.text(statement))


def _make(connection: sa.Connection, gallery: str, dimension: int) -> None:
    try:
        with connection.begin_nested():
            connection.execute(sa.text(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}"))
    except sa.exc.DBAPIError as error:
        raise GalleryError(
            f"{gallery}: this database has no pgvector and cannot create it; install pgvector on "
            "the server and run `CREATE EXTENSION vector` in this database"
        ) from error
    for statement in _MAKE:
        connection.exec_driver_sql(statement.replace("%d", str(dimension)))
    everybody = connection.execute(sa.select(people.c.id).order_by(people.c.id)).scalars()
    _fill(connection, gallery, dimension, list(everybody))
    connection.execute(sa.text(f"SET LOCAL maintenance_work_mem = '{MEMORY}'"))
    connection.execute(sa.text(_INDEX))


def _fill(connection: sa.Connection, gallery: str, dimension: int, numbers: list[int]) -> None:
    """Compute the templates of those of these people who have faces and are not removed."""
    for at in range(0, len(numbers), PEOPLE_AT_ONCE):
        owners, vectors = _faces_of(
            connection, gallery, dimension, numbers[at : at + PEOPLE_AT_ONCE]
        )
        if len(owners):
            known, rows = np.unique(owners, return_inverse=True)
            texts = [_text(template) for template in templates(vectors, rows)]
            connection.execute(sa.text(_SET), {"people": known.tolist(), "templates": texts})


def _faces_of(
    connection: sa.Connection, gallery: str, dimension: int, numbers: list[int]
) -> tuple[NDArray[np.int64], Embeddings]:
    """The faces of people who are not removed: their person, (N,), and embedding, (N, D)."""
    query = (
        face_rows()
        .join(people, people.c.id == faces.c.person)
        .where(people.c.id.in_(numbers), people.c.removed.is_(None))
        .order_by(faces.c.id)
    )
    rows = connection.execute(query).all()
    for row in checked_faces(rows):
        if len(row.embedding) != 4 * dimension:
            raise GalleryError(
                f"{gallery}: damaged: the embedding of face {row.id} is not of the size that the "
                "settings name; `facesearch gallery doctor` says more"
            )
    owners = np.array([row.person for row in rows], np.int64)
    vectors = [np.frombuffer(row.embedding, "<f4") for row in rows]
    return owners, np.stack(vectors) if vectors else np.empty((0, 1), np.float32)


def _text(template: NDArray[np.float32]) -> str:
    """A template as pgvector reads it, without loss of precision."""
    return json.dumps(template.tolist())


def _dimension(connection: sa.Connection) -> int | None:
    """D of the templates; None if there is no table of them."""
    found = connection.execute(sa.text(_DIMENSION)).scalar()
    return None if found is None else int(found)


class TemplateTable:
    """See `TemplateSearch`. Every method asks the database, and sees its latest state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.translate_errors(), engine.reading() as connection:
            there = _dimension(connection) is not None  # not before the first face
            query = sa.text(f"SELECT count(*) FROM {TABLE}")
            self._count = int(connection.execute(query).scalar_one()) if there else 0

    def __len__(self) -> int:
        """How many people there were when this was opened."""
        return self._count

    @property
    def dimension(self) -> int:
        """See `TemplateSearch`."""
        with self._engine.translate_errors(), self._engine.reading() as connection:
            return _dimension(connection) or 0

    @property
    def numbers(self) -> NDArray[np.int64]:
        """See `TemplateSearch`."""
        return self._everybody()[0]

    @property
    def templates(self) -> Embeddings:
        """See `TemplateSearch`."""
        return self._everybody()[1]

    def of(self, numbers: NDArray[np.int64]) -> Embeddings:
        """The templates of these people, (P, D); fewer if some were removed meanwhile."""
        asked = f"SELECT person, {_SENT} FROM {TABLE} WHERE person = ANY(:numbers)"
        with self._engine.translate_errors(), self._engine.reading() as connection:
            rows = connection.execute(sa.text(asked), {"numbers": numbers.tolist()}).all()
        found = {row.person: row.sent for row in rows}
        return _vectors([found[number] for number in numbers.tolist() if number in found])

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[NDArray[np.int64], Embeddings]:
        """See `TemplateSearch`.

        Compares everybody among up to EXACT people, and otherwise whom the graph leads to. The
        distances are exact in any case.
        """
        count = min(count, len(self))
        empty = np.empty((len(query), 0))
        if count == 0:
            return empty.astype(np.int64), empty.astype(np.float32)
        asked = f"SELECT person, {_SENT} FROM {TABLE} "
        asked += "ORDER BY template <-> CAST(:query AS vector) LIMIT :count"
        found = []
        with self._engine.translate_errors(), self._engine.reading() as connection:
            for setting in _how(0 if exact else len(self), count):
                connection.execute(sa.text(f"SET LOCAL {setting}"))
            for vector in query:
                values = {"query": _text(vector), "count": count}
                rows = connection.execute(sa.text(asked), values).all()
                near = _vectors([row.sent for row in rows])
                distances = np.linalg.norm(near - vector, axis=1) if rows else empty[0]
                order = np.argsort(distances, kind="stable")
                numbers = np.array([row.person for row in rows], np.int64)
                found.append((numbers[order], distances[order].astype(np.float32)))
        least = min(len(numbers) for numbers, _ in found)  # some may have been removed meanwhile
        return (
            np.stack([numbers[:least] for numbers, _ in found]),
            np.stack([distances[:least] for _, distances in found]),
        )

    def forget(self, connection: sa.Connection) -> None:
        """See `TemplateSearch`."""
        _drop(connection)

    def _everybody(self) -> tuple[NDArray[np.int64], Embeddings]:
        asked = f"SELECT person, {_SENT} FROM {TABLE} ORDER BY person"
        with self._engine.translate_errors(), self._engine.reading() as connection:
            there = _dimension(connection) is not None
            rows = connection.execute(sa.text(asked)).all() if there else []
        numbers = np.array([row.person for row in rows], np.int64)
        return numbers, _vectors([row.sent for row in rows])


def _how(people: int, count: int) -> list[str]:
    """The settings of PostgreSQL for a search."""
    if people <= EXACT:
        return ["enable_indexscan = off"]
    candidates = min(max(CANDIDATES, 2 * count), 1000)
    return [
        "enable_seqscan = off",
        f"hnsw.ef_search = {candidates}",
        "hnsw.iterative_scan = strict_order",  # goes on past rows that were changed
    ]


def _vectors(sent: list[bytes]) -> Embeddings:
    """Templates as pgvector sends them: two 16-bit numbers, then float32, big endian."""
    if not sent:
        return np.empty((0, 1), np.float32)
    return np.stack([np.frombuffer(each, ">f4", offset=4) for each in sent]).astype(np.float32)
