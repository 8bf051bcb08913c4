"""What `train-quality` is asked for: one TOML file that names the documents of each class, and how to train."""

from __future__ import annotations

import dataclasses
import tomllib
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..files import store
from ..study.checks import did_you_mean

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


@dataclass(frozen=True, config=_CONFIG)
class Documents:
    """Where documents come from: files, or a finished build.

    Attributes:
        path: Files or globs: JSON lines (`.jsonl`, also `.gz` or `.zst`), Parquet, or text, whose paragraphs are the
            documents.
        text: Fields that make the text, with a blank line between; by default `text`.
        build: Folder of a finished build.
        recipe: A recipe of it whose documents are meant: those that it keeps.
        source: The source of it that is meant; with a recipe, of its documents.
        outcome: With a recipe: which of its documents; `kept` or `dropped`.
        store: The build's store, where that is not inside its folder.
    """

    path: tuple[str, ...] = ()
    text: tuple[str, ...] = ("text",)
    build: str | None = None
    recipe: str | None = None
    source: str | None = None
    outcome: str = "kept"
    store: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one origin.

        Raises:
            ValueError: There is none, or there are two.
        """
        if bool(self.path) == (self.build is not None):
            raise ValueError("give either path, or build with recipe or source")
        if self.build is not None and self.recipe is None and self.source is None:
            raise ValueError("build: give the recipe or the source whose documents are meant")
        if self.outcome not in ("kept", "dropped"):
            raise ValueError("outcome: kept or dropped")


@dataclass(frozen=True, config=_CONFIG)
class Scored:
    """Documents with a number each, as people or a model gave it: the nearest of `bins` becomes their class.

    Attributes:
        path: Files or globs of JSON lines or Parquet.
        score: The field that holds the number.
        bins: The classes, ascending.
        text: Fields that make the text.
        threshold: What counts as good in the report; by default the middle of the bins.
    """

    path: Annotated[tuple[str, ...], Field(min_length=1)]
    score: str
    bins: Annotated[tuple[float, ...], Field(min_length=2)]
    text: tuple[str, ...] = ("text",)
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check the bins.

        Raises:
            ValueError: They do not ascend.
        """
        if list(self.bins) != sorted(set(self.bins)):
            raise ValueError("bins: list them ascending, each once")


@dataclass(frozen=True, config=_CONFIG)
class Model:
    """How fastText learns (Joulin et al. 2016).

    Attributes:
        dim: Numbers in a vector; the paper takes 10, fastText's default is 100. A model has 4 bytes for each number of
            each bucket: 128 MB for 16, and 800 MB for 100.
        epoch: Passes over the text.
        lr: Learning rate at the beginning.
        word_ngrams: Words in the longest n-gram.
        min_count: Least count of a word.
        bucket: Buckets for n-grams.
        compress: Whether to write the `.ftz` too: the 100,000 words and n-grams of the largest vectors, quantized.
    """

    dim: Annotated[int, Field(ge=1, le=1024)] = 16
    epoch: Annotated[int, Field(ge=1, le=1000)] = 5
    lr: Annotated[float, Field(gt=0, le=10)] = 0.1
    word_ngrams: Annotated[int, Field(ge=1, le=5)] = 2
    min_count: Annotated[int, Field(ge=1)] = 1
    bucket: Annotated[int, Field(ge=1, le=2**26)] = 2_000_000
    compress: bool = False


@dataclass(frozen=True, config=_CONFIG)
class QualityFile:
    """The whole file.

    Attributes:
        name: Of the model.
        classes: Documents by label; those of all classes become equally many.
        scored: In place of classes: documents with numbers.
        positive: The label that the report calls positive; by default the first.
        seed: Of the choice of documents and of training.
        per_class: Documents of a class, at most.
        held_out: Share of the documents that are kept from training to measure.
        model: How to learn.
    """

    name: Annotated[str, Field(pattern=LABEL)]
    classes: dict[Annotated[str, Field(pattern=LABEL)], tuple[Documents, ...]] | None = None
    scored: Scored | None = None
    positive: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    per_class: Annotated[int, Field(ge=2)] = 200_000
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    model: Model = dataclasses.field(default_factory=Model)

    def __post_init__(self) -> None:
        """Check that there are classes, and that the positive one is among them.

        Raises:
            ValueError: There are not.
        """
        if (self.classes is None) == (self.scored is None):
            raise ValueError("give either classes, as [[classes.LABEL]], or [scored]")
        if self.classes is not None:
            if len(self.classes) < 2:
                raise ValueError("classes: a classifier tells at least two apart; add another [[classes.LABEL]]")
            if self.positive is not None and self.positive not in self.classes:
                raise ValueError(
                    f"positive: there is no class {self.positive!r}{did_you_mean(self.positive, self.classes)}"
                )

    @property
    def labels(self) -> list[str]:
        """The labels, in order; the positive one of classes first."""
        if self.scored is not None:
            return [f"{one:g}" for one in self.scored.bins]
        names = list(self.classes or ())
        first = self.positive or names[0]
        return [first, *(name for name in names if name != first)]


def load(path: str) -> QualityFile:
    """Read and check a file; relative paths in it start at its folder.

    Raises:
        UserError: There is no such file, or it has mistakes; all of them are named.
    """
    path = store.absolute(path)
    try:
        raw = tomllib.loads(store.read_bytes(path).decode())
    except FileNotFoundError as error:
        raise store.UserError(f"{path}: there is no such file.") from error
    except (OSError, ValueError) as error:
        raise store.UserError(f"{path}: cannot be read as TOML: {error}") from error
    try:
        found = TypeAdapter(QualityFile).validate_python(raw)
    except ValidationError as error:
        lines = [f"  {_told(problem)}" for problem in error.errors(include_url=False)]
        raise store.UserError(
            f"{path}: {len(lines)} {'mistake' if len(lines) == 1 else 'mistakes'}\n" + "\n".join(lines)
        ) from error
    return _located(found, path.rpartition("/")[0] or "/")


def _told(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        message = "no such key"
    return f"{where}: {message}" if where else message


def _located(found: QualityFile, folder: str) -> QualityFile:
    if found.scored is not None:
        paths = tuple(store.absolute(path, folder) for path in found.scored.path)
        return dataclasses.replace(found, scored=dataclasses.replace(found.scored, path=paths))
    classes = {}
    for label, every in (found.classes or {}).items():
        classes[label] = tuple(
            dataclasses.replace(
                one,
                path=tuple(store.absolute(path, folder) for path in one.path),
                build=store.absolute(one.build, folder) if one.build else None,
                store=store.absolute(one.store, folder) if one.store else None,
            )
            for one in every
        )
    return dataclasses.replace(found, classes=classes)
