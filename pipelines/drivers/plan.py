"""Plan: what a build will do, worked out before any work starts. `plan` prints the value that `build` executes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...data_cards import notebook
from ...filters.duplicates.minhash import MinHash
from ...filters.duplicates.sketch import Sketch
from ...tokenizers.loading import load_bytes
from ..files import store
from ..files.folders import file_in
from ..files.parts import Store, missing
from ..stages.earlier import Earlier, open_earlier
from ..stages.ladder import held_out_seed
from ..study.budgets import short
from ..study.checks import COLUMNS
from ..study.curricula import settings_of
from ..study.weights import means

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...filters.family import Family
    from ..formats import Slice, Source
    from ..study.study import Rule, Study

FORMAT = 3
"""Version of everything that the stages after scoring write; raised when their output changes."""

SKETCH_SIZE = 128
"""Hashes of a document's sketch, where containment is asked for."""


READS_FILES = ("function", "model", "sets")
"""Fields of scores that read files of the user's: these are tried before any work."""


@dataclass(frozen=True)
class SourcePlan:
    """One source, cut into slices.

    Attributes:
        name: Its name in the study.
        source: Its settings.
        slices: Fingerprint of each slice (READ/SLICE) and the slice, in order.
    """

    name: str
    source: Source
    slices: tuple[tuple[str, Slice], ...]

    @property
    def bytes(self) -> int:
        """Raw bytes."""
        return sum(piece.bytes for _, piece in self.slices)


@dataclass(frozen=True)
class Plan:
    """What a build will do.

    Attributes:
        study: The study.
        out: Folder of the result.
        store: The store of stage outputs.
        sources: In the study's order.
        scores: Type and parameters of each score by fingerprint, signatures included.
        score_of: Fingerprint of each score by its name in the study.
        signature: Fingerprint of the signatures; empty where nothing of the study asks for near duplicates.
        sketch: Fingerprint of the sketches; empty where containment is not asked for.
        against: Earlier studies whose documents count as kept.
        tokenizer_model: The tokenizer's file, empty where there is none (yet).
        repeated_lines: Fingerprint of the columns of repeated lines, empty until the pool is read.
        bursts: The same of bursts.
        notes: What is no mistake and may not be meant, a line each.
    """

    study: Study
    out: str
    store: Store
    sources: tuple[SourcePlan, ...]
    scores: dict[str, dict[str, Any]]
    score_of: dict[str, str]
    signature: str
    sketch: str
    against: tuple[Earlier, ...]
    tokenizer_model: bytes
    repeated_lines: str = ""
    bursts: str = ""
    notes: tuple[str, ...] = ()

    def rules(self, rules: Sequence[Rule]) -> list[dict[str, Any]]:
        """Rules as plain values, with the places of their columns in the store."""
        return [
            {
                "label": self._where(rule.score, "LABEL"),
                "value": self._where(rule.score, "VALUE"),
                "labels": [rule.is_] if rule.is_ is not None else list(rule.in_) if rule.in_ is not None else None,
                "min": rule.min,
                "max": rule.max,
                "top": rule.top,
                "near": rule.near,
                "within": self._groups(rule.within),
                "by": rule.by,
                "sources": list(rule.sources) if rule.sources is not None else None,
                "text": str(rule),
            }
            for rule in rules
        ]

    def value(self, address: str) -> list[str] | None:
        """Place of the column with the value of a score; `tokens` stands for a document's length."""
        return ["tokens"] if address == "tokens" else self._where(address, "VALUE")

    def _groups(self, within: str | None) -> list[list[str] | None] | None:
        """Places of the columns whose labels make the groups of a `top` rule."""
        if within is None:
            return None
        return self.strata() if within == "strata" else [self._where(within, "LABEL")]

    def strata(self) -> list[list[str] | None]:
        """Places of the columns that make a stratum."""
        return [self._where(name, "LABEL") for name in self.study.settings.strata]

    def labels(self) -> dict[str, list[str]]:
        """Places of the label columns by which duplicates are counted: those of strata, and of classifiers."""
        names = [name for name in self.study.settings.strata if name not in {"source", "cluster.class"}]
        names += [name for name, score in self.study.scores.items() if score.type == "fasttext" and score.LABEL]
        found = {name: self._where(name, "LABEL") for name in names}
        return {name: where for name, where in found.items() if where is not None}

    def _where(self, address: str, role: str) -> list[str] | None:
        if address in COLUMNS or address.startswith("draw."):
            return [address]
        name, _, column = address.partition(".")
        of_pool = {"repeated_lines": self.repeated_lines, "bursts": self.bursts}
        holds = getattr(self.study.settings, name) if name in of_pool else self.study.scores[name]
        column = column or getattr(holds, role)
        return [of_pool[name] if name in of_pool else self.score_of[name], column] if column else None

    @property
    def described_scores(self) -> dict[str, dict[str, Any]]:
        """Of each score its fingerprint, type, and the columns of its label and value."""
        columns = {name: {"label": one.LABEL, "value": one.VALUE} for name, one in self.study.scores.items()}
        return {
            name: {"fingerprint": self.score_of[name], "type": self.study.scores[name].type, **both}
            for name, both in columns.items()
        }

    @property
    def masks(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Fingerprint of each score whose finds are masked where text is encoded, and the names of their kinds."""
        return tuple({self.score_of[name]: tuple(names) for name, names in self.masked.items()}.items())

    @property
    def masked(self) -> dict[str, list[str]]:
        """The kinds that are masked, by the score that finds them."""
        named = {name: getattr(score, "masked", ()) for name, score in self.study.scores.items()}
        return {name: list(names) for name, names in named.items() if names}

    @property
    def dedup(self) -> dict[str, Any]:
        """Parameters of clustering, with what they come to; earlier studies by their root hashes."""
        bands, rows = self.study.settings.dedup.banding
        return {
            **dataclasses.asdict(self.study.settings.dedup),
            "bands": bands,
            "rows": rows,
            "against": [one.identity for one in self.against],
            "signatures": self.signature,
            "sketches": self.sketch,
        }

    @property
    def draw_seed(self) -> int:
        """Seed of the order in which clusters are held out."""
        return held_out_seed(self.study.settings.seed)

    def describe(self) -> dict[str, Any]:
        """The plan as plain values: what there is, and what of it is still to do."""
        settings = self.study.settings
        slices = [name for source in self.sources for name, _ in source.slices]
        to_read = set(missing(self.store.path("slices"), slices, ".json"))
        return {
            "study": settings.name,
            "out": self.out,
            "store": self.store.root,
            "sources": {
                source.name: {
                    "format": source.source.format,
                    "files": len({file.path for _, piece in source.slices for file in piece.files}),
                    "bytes": source.bytes,
                    "slices": len(source.slices),
                    "to_read": sum(name in to_read for name, _ in source.slices),
                }
                for source in self.sources
            },
            "scores": {name: self.scores[fingerprint] for name, fingerprint in self.score_of.items()},
            "dedup": self.dedup,
            "repeated_lines": dataclasses.asdict(settings.repeated_lines) if settings.repeated_lines else None,
            "bursts": dataclasses.asdict(settings.bursts) if settings.bursts else None,
            "masks": self.masked,
            "tokenizer": dataclasses.asdict(self.study.tokenizer),
            "held_out": short(*settings.held_out.size) if settings.held_out else None,
            "recipes": {
                name: {
                    **self._weights(name),
                    "rules": [str(rule) for rule in self.study.rules(name)],
                    "rungs": {
                        rung: {"requested": n, "tokens": whole(n, settings.sequence_length) * settings.sequence_length}
                        if settings.budget_unit == "tokens"
                        else {"requested": n, "unit": settings.budget_unit}
                        for rung, n in self.study.rungs.items()
                    },
                }
                for name in settings.recipes
            },
            "curricula": {
                name: {"recipe": one.recipe, "rung": settings.rung_name(one.rung)} | settings_of(one)
                for name, one in settings.curricula.items()
            },
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        return notebook.show_plan(self.describe())

    def _weights(self, recipe: str) -> dict[str, Any]:
        """Weights of a recipe; where they change, their means over the largest rung, and the bends."""
        weights, largest = self.study.recipe(recipe).weights, max(self.study.settings.budgets)
        if not isinstance(weights, tuple):
            return {"weights": weights}
        return {"weights": means(weights, largest), "course": [{"at": one.at, **one.shares} for one in weights]}


def whole(tokens: int, length: int) -> int:
    """The number of whole sequences nearest to a budget, half up, at least one.

    >>> whole(1_000_000, 512), whole(768, 512)
    (1953, 2)
    """
    return max(1, (2 * tokens + length) // (2 * length))


def make_plan(study: Study, out: str, store_root: str | None = None) -> Plan:
    """List the inputs, fingerprint everything, and check what can be checked before work starts.

    Args:
        study: The study.
        out: Folder of the result.
        store_root: Folder of stage outputs; inside `out` by default.

    Raises:
        UserError: An input is missing, or the tokenizer cannot be used; all such mistakes at once.
    """
    out = store.absolute(out)
    place = store.absolute(store_root) if store_root else store.join(out, ".store")
    mistakes: list[str] = []
    if place == out:
        mistakes.append(f"--store: {place} is the folder of the result. Name another one, such as {out}/.store")
    mistakes += [
        f"--{option}: {file} is a file, so no folder can stand there. Name another one."
        for option, path in (("out", out), ("store", place))
        if (file := file_in(path)) and (option == "out" or not file_in(out))
    ]
    sources, notes = [], list[str]()
    for name, source in study.sources.items():
        idle: list[str] = []
        try:
            files = [file for file in source.list_files(idle) if not _below(file.path, (out, place))]
            pieces = source.slices(files, source.root(files))
        except (store.UserError, FileNotFoundError) as error:
            mistakes.append(f"sources.{name}.path: {error}")
            continue
        try:
            read = store.fingerprint(source.identity())
        except (store.UserError, OSError) as error:
            mistakes.append(f"sources.{name}: {error}")
            continue
        notes += [
            f"sources.{name}.exclude: {path} names no file of this source. Check the path, or leave it out."
            for path in idle
            if not _below(f"{path}/", (out, place))  # of which there may be no file yet
        ]
        named = [(f"{read}/{store.fingerprint(json.loads(piece.to_json()))}", piece) for piece in pieces]
        sources.append(SourcePlan(name, source, tuple(named)))
    model = _model(study, mistakes)
    for name, family in study.scores.items():
        if any(hasattr(family, field) for field in READS_FILES):
            _try(name, family, mistakes)
    dedup = study.settings.dedup
    bands, rows = dedup.banding
    families: list[Family] = list(study.scores.values())
    signature = sketch = ""
    if study.compares:
        families.append(MinHash(unit=dedup.unit, ngram=dedup.ngram, bands=bands, rows=rows))
        signature = _fingerprint(families[-1])
        if dedup.containment is not None:
            families.append(Sketch(unit=dedup.unit, ngram=dedup.ngram, size=SKETCH_SIZE))
            sketch = _fingerprint(families[-1])
    against = _open_earlier(study, {"signatures": signature, "sketches": sketch}, Store(place), mistakes)
    if mistakes:
        raise store.UserError("This study cannot be built:\n" + "\n".join(f"  {line}" for line in mistakes))
    score_of = {name: _fingerprint(family) for name, family in study.scores.items()}
    return Plan(
        study=study,
        out=out,
        store=Store(place),
        sources=tuple(sources),
        scores={_fingerprint(family): _spec(family) for family in families},
        score_of=score_of,
        signature=signature,
        sketch=sketch,
        against=against,
        tokenizer_model=model,
        notes=tuple(notes),
    )


def _open_earlier(study: Study, families: dict[str, str], place: Store, mistakes: list[str]) -> tuple[Earlier, ...]:
    found = []
    for n, path in enumerate(study.settings.dedup.against):
        try:
            needed = {what: fingerprint for what, fingerprint in families.items() if fingerprint}
            found.append(open_earlier(store.absolute(path, study.folder), needed, place))
        except (store.UserError, OSError) as error:
            mistakes.append(f"dedup.against[{n}]: {error}")
    return tuple(found)


def _try(name: str, family: Family, mistakes: list[str]) -> None:
    """Open a model and use it once: a damaged file or a label that it does not know shows before any work."""
    try:
        family.score(pa.record_batch({"text": ["One short text."]}))
    except (OSError, ValueError, ModuleNotFoundError) as error:
        mistakes.append(f"scores.{name}: {error}")


def _below(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a file is of a result or its store: what a build writes is never its input."""
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _fingerprint(family: Family) -> str:
    return store.fingerprint(family.identity())


def _spec(family: Family) -> dict[str, Any]:
    return {"type": family.type, "parameters": dataclasses.asdict(family)}  # type: ignore[call-overload] # a dataclass


def _model(study: Study, mistakes: list[str]) -> bytes:
    section = study.tokenizer
    if getattr(section, "train", None) is not None:
        return b""
    try:
        path = getattr(section, "path", None)
        model = store.read_bytes(path) if path else b""
        load_bytes(section, model)
    except FileNotFoundError:
        mistakes.append(f"tokenizer.path: {path}: there is no such file")
    except (OSError, ValueError) as error:
        mistakes.append(f"tokenizer: {error}")
    else:
        return model
    return b""
