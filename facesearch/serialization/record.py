"""How a dataclass is written as a JSON object, described, checked, and read back."""

import dataclasses
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import attrgetter, or_
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationInfo,
    create_model,
)
from pydantic_core import core_schema

from facesearch.core.face import Box
from facesearch.core.uploads import NAMELESS

T = TypeVar("T")
Row = dict[str, Any]
Shown = Callable[[Any], str]  # how a photo is written


def path_of(photo: Any) -> str:
    """A photo as the command line writes it: its path, or "photo" for one without a path."""
    return os.fspath(photo) if isinstance(photo, str | os.PathLike) else NAMELESS


def name_of(photo: Any) -> str:
    """A photo as the service writes it: the name of its file, without the folders."""
    return Path(path_of(photo)).name


def _shown(photo: Any, info: ValidationInfo) -> Any:
    shown = (info.context or {}).get("shown")
    return photo if shown is None or photo is None else shown(photo)


def _corners(box: Any) -> Any:
    return box.rounded() if isinstance(box, Box) else box


PhotoText = Annotated[str, BeforeValidator(_shown)]
Corners = Annotated[
    list[int], BeforeValidator(_corners), pydantic.Field(min_length=4, max_length=4)
]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a JSON object."""

    text: str  # what it means
    of: str | None = None  # the attribute that it is written from, where that has another name
    type: Any = None  # where it is no field of the dataclass, or the type there does not say it


class Record(Generic[T]):
    """The JSON object that stands for a dataclass.

    The types of its fields are those of the dataclass: a box is written as [left, top, right,
    bottom] in whole pixels, a photo as text, and a dataclass that has a record as that record.
    """

    _by_type: ClassVar[dict[type, "Record[Any]"]] = {}

    def __init__(
        self,
        made: type[T],
        fields: Mapping[str, str | Field],
        *,
        left_out: Mapping[str, Any] = types.MappingProxyType({}),
        name: str | None = None,
        text: str | None = None,
        example: Row | None = None,
    ) -> None:
        """Describe the JSON object of the dataclass `made`.

        fields: in the order in which they are written, each with what it means. left_out: the
        attributes that are not written, each with the value that it has after reading. name, text:
        of the object, where they are not those of the dataclass. The first record of a dataclass is
        the one that other records write it with. Raises TypeError if an attribute of the dataclass
        is neither in `fields` nor in `left_out`.
        """
        self.made, self.name = made, name or made.__name__
        self.text = text or (made.__doc__ or "").partition("\n\n")[0]
        self.fields = {
            key: Field(each) if isinstance(each, str) else each for key, each in fields.items()
        }
        self.left_out, self.example = dict(left_out), example
        self._sources = {key: each.of or key for key, each in self.fields.items()}
        attributes = {each.name for each in dataclasses.fields(made)}  # type: ignore[arg-type]
        written = {source.partition(".")[0] for source in self._sources.values()}
        missing = attributes - written - self.left_out.keys()
        if missing:
            raise TypeError(f"{self.name}: not described: {', '.join(sorted(missing))}")
        self._read_from = {
            source: key for key, source in self._sources.items() if source in attributes
        }
        self._by_type.setdefault(made, self)

    def row(self, thing: T, shown: Shown = path_of, **more: Any) -> Row:
        """Write an object as JSON. more: the fields that are not the dataclass's."""
        return dict(self.written(thing, shown, **more).model_dump())

    def written(self, thing: T, shown: Shown = name_of, **more: Any) -> Any:
        """The same as an instance of `model`, which stands for the dataclass in other models."""
        given = {**self._values(thing), **more}
        return self.model.model_validate(given, context={"shown": shown})

    def read(self, row: Any, **instead: Any) -> T:
        """Read the dataclass that was written. instead: attributes that are known better.

        Raises ValueError if the row is no such object.
        """
        return self._remade(self.model.model_validate(row), instead)

    @cached_property
    def model(self) -> type[BaseModel]:
        """The pydantic model of the JSON object, which describes and checks it."""
        defaults = {each.name: each.default for each in dataclasses.fields(self.made)}  # type: ignore[arg-type]
        fields: dict[str, Any] = {}
        for key, each in self.fields.items():
            source = self._sources[key]
            hint = each.type or self._hints[source]
            default = defaults.get(source, dataclasses.MISSING)
            missing = ... if default is dataclasses.MISSING else default
            described = pydantic.Field(missing, description=each.text)
            fields[key] = (_json_type(hint), described)
        values, made = self._values, self.made

        class FromDataclass(BaseModel):
            model_config = ConfigDict(
                json_schema_extra={"example": self.example} if self.example else None,
                json_schema_serialization_defaults_required=True,  # what is written is whole
            )

            @pydantic.model_validator(mode="before")
            @classmethod
            def _from_dataclass(cls, given: Any) -> Any:
                return values(given) if isinstance(given, made) else given

        return create_model(self.name, __base__=FromDataclass, __doc__=self.text, **fields)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """`Annotated[dataclass, record]` is the dataclass in Python and this object in JSON.

        Photos are written by their names alone, so that no folder of a server is told by mistake.
        """
        model = handler.generate_schema(self.model)
        read = core_schema.no_info_after_validator_function(
            lambda given: self._remade(given, {}), model
        )
        there = core_schema.is_instance_schema((self.made, self.model))

        def write(thing: Any) -> Any:
            return thing if isinstance(thing, BaseModel) else self.written(thing)

        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=core_schema.union_schema([there, read], mode="left_to_right"),
            serialization=core_schema.plain_serializer_function_ser_schema(
                write, return_schema=model
            ),
        )

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.made)

    def _values(self, thing: T) -> Row:
        found = {}
        for key, source in self._sources.items():
            if hasattr(thing, source.partition(".")[0]):
                found[key] = attrgetter(source)(thing)
        return found

    def _remade(self, given: BaseModel, instead: Mapping[str, Any]) -> T:
        found = {
            source: _read(self.fields[key].type or self._hints[source], getattr(given, key))
            for source, key in self._read_from.items()
        }
        return self.made(**{**self.left_out, **found, **instead})


def _json_type(hint: Any) -> Any:
    """The type in JSON of an attribute's type."""
    if hint is Box:
        return Corners
    if hint is Path:
        return PhotoText
    if hint in Record._by_type:
        return Record._by_type[hint].model
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (list, tuple, dict):
        return origin[tuple(map(_json_type, inner))]
    if origin in (Union, types.UnionType):
        return reduce(or_, map(_json_type, inner))
    return hint


def _read(hint: Any, value: Any) -> Any:
    """The value of an attribute, from that in JSON."""
    if value is None:
        return None
    if hint is Box:
        return Box(*value)
    if hint is Path:
        return Path(value)
    if hint in Record._by_type:
        return Record._by_type[hint]._remade(value, {})
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return [_read(inner[0], each) for each in value]
    if origin in (Union, types.UnionType):
        kinds = [each for each in inner if each is not types.NoneType]
        return _read(kinds[0], value) if len(kinds) == 1 else value
    return value
