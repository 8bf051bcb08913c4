"""The study: what the one file that a user writes says, as frozen dataclasses. `study_file` reads and checks it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ...data_cards import notebook
from ...filters.duplicates.minhash import optimal_bands
from ..files.schema import REPEATED_LINES
from .budgets import Count, Unit, expand_budgets, parse_count, short
from .bursts import Bursts
from .curricula import Curriculum
from .weights import Weights, WeightsFile, in_words

if TYPE_CHECKING:
    from ...filters.family import Family
    from ..formats import Source

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
NAME_IS = "letters, digits, '.', '_' and '-', with a letter or digit first"
"""What names of studies, sources, scores and recipes are made of: they stand in paths."""

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _short(value: float) -> str:
    """A number in few digits, where they say it exactly."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


@dataclass(frozen=True, config=_CONFIG)
class Rule:
    """One line of a `keep` list; a document stays when everything that the line says holds.

    Attributes:
        score: A score of the study (`language`), one of its columns (`gopher.words`), or a column that every
            document has: `kind`, `file_type`, `licence`, `licence_id`, `hidden`, `payload`, `view`, `bytes`, `source`;
            `sample`, from 0 to 1, its place in the recipe's order; `farthest`, with `top`, how unlike it is to all
            documents before it, where the least similar one always comes next (greedy k-centres); `draw.5`, a label
            from 0 to 4 that chance gives to each cluster.
        is_: The label it must be (written `is`).
        in_: Labels it may be (written `in`).
        min: Least value, inclusive.
        max: Greatest value, inclusive.
        top: Share in (0, 1] with the greatest values among documents that passed the rules before; exact, ties go to
            the lower priority.
        near: With `top`, the values nearest to this number are taken in place of the greatest: what a classifier is
            least sure of is near 0.5 (uncertainty sampling, Lewis and Gale 1994).
        within: With `top`, the share is taken of each group apart: `strata` for those of the study, or a label.
        by: What `top` is a share of: documents, or tokens (this counts the tokens of the whole pool).
        sources: Sources that the rule speaks about; documents of others pass.
    """

    score: str
    is_: Annotated[str | None, Field(alias="is")] = None
    in_: Annotated[tuple[str, ...] | None, Field(alias="in")] = None
    min: float | None = None
    max: float | None = None
    top: Annotated[float | None, Field(gt=0, le=1)] = None
    near: float | None = None
    within: str | None = None
    by: Literal["documents", "tokens"] = "documents"
    sources: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The rule in words, as the ledger gives it for a reason."""
        parts = []
        if self.is_ is not None:
            parts.append(f"is {self.is_}")
        if self.in_ is not None:
            parts.append(f"in {', '.join(self.in_)}")
        if self.min is not None:
            parts.append(f"min {_short(self.min)}")
        if self.max is not None:
            parts.append(f"max {_short(self.max)}")
        if self.top is not None:
            near = "" if self.near is None else f" near {_short(self.near)}"
            within = "" if self.within is None else f" within {self.within}"
            parts.append(f"top {_short(self.top)}{near} by {self.by}{within}")
        of = f" ({', '.join(self.sources)})" if self.sources is not None else ""
        return f"{self.score} {' and '.join(parts)}{of}"


@dataclass(frozen=True, config=_CONFIG)
class Recipe:
    """Which documents are in, and in which shares.

    Attributes:
        base: A recipe whose rules come first and whose other settings hold where this one is silent.
        weights: Share of each source or stratum in every prefix of the stream; by default as the kept text has it. A
            list of them, each with the place `at` which it holds, changes along the stream, linearly in between. A
            file's name stands for what it holds: shares, such a list, or the best mixture of a `fit.json`.
        keep: Rules, in order.
        alpha: Without weights, shares are the shares of the kept text to this power: 1 as the text has it, 0 the same
            for all strata (temperature sampling, as Conneau and Lample 2019 have it).
        repeat: At most so many passes over a stratum that runs short.
        rescale: A stratum that runs short even so gives all that it has, and the others share the rest in proportion.
            With `alpha = 0` that is UniMax (Chung et al. 2023, https://arxiv.org/abs/2304.09151).
        permutation: Another number is another order of the documents, so that ladders can be drawn again.
        disjoint: So many draws that share no document and no near duplicate; `permutation` says which of them this is.
        simulate: Tokens of a larger run. The recipe has that share of the documents alone that its largest rung has of
            this run, and so repeats each stratum as often as that run would.
        dedup: Whether near duplicates of a survivor are left out.
        rehydrate: How often documents of a class of `cluster.class` count in the shares of strata, which must hold that
            column: text of which many copies were found may be worth more passes (Penedo et al. 2024, FineWeb 2).
    """

    base: str | None = None
    weights: Weights = None
    keep: tuple[Rule, ...] = ()
    alpha: Annotated[float | None, Field(ge=0, le=1)] = None
    repeat: Annotated[int | None, Field(ge=1)] = None
    rescale: bool | None = None
    permutation: Annotated[int | None, Field(ge=0, lt=2**32)] = None
    disjoint: Annotated[int | None, Field(ge=2, le=10_000)] = None
    simulate: Count | None = None
    dedup: bool | None = None
    rehydrate: dict[str, Annotated[float, Field(ge=0)]] | None = None


@dataclass(frozen=True, config=_CONFIG)
class HeldOut:
    """The held-out set: whole clusters, drawn by hash, the same for all recipes.

    Attributes:
        tokens: Its size.
        bytes: Its size in bytes of text, in place of tokens: then it is the same under every tokenizer.
        keep: Rules for the documents that stand in it.
    """

    tokens: Count | None = None
    bytes: Count | None = None
    keep: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        """Check that it has one size.

        Raises:
            ValueError: It has none or two.
        """
        if (self.tokens is None) == (self.bytes is None):
            raise ValueError('give its size, as tokens = "1M" or as bytes = "4M"')

    @property
    def size(self) -> tuple[int, Unit]:
        """How much it is, and of what."""
        return (self.tokens, "tokens") if self.tokens is not None else (self.bytes or 0, "bytes")


Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, config=_CONFIG)
class Dedup:
    """Near duplicates: MinHash bands give candidates, Jaccard similarity decides.

    Attributes:
        unit: What shingles are made of: words, characters, the tokens of source code, or auto: the tokens of code where
            a document has a `file_type`, words elsewhere.
        ngram: Units in a shingle; by default as the unit has it.
        bands: Bands of the signature, by default 18; two documents that agree on a whole band are compared.
        rows: Values in a band, by default 6.
        permutations: In place of bands and rows: values that a signature may have; bands are chosen for the threshold
            as datasketch chooses them.
        threshold: Least Jaccard similarity to the cluster's leader. As signatures estimate it, 0.72 finds what is at
            least 0.7 similar: of the documents that it removes, 97 % are, and of those at .8 it misses 1 %
            (`bench/dedup.py`).
        proof: `estimate` compares signatures, with a standard error of at most 0.05 for 108 values; `exact` compares
            the shingles themselves, and reads the text of candidates again.
        containment: Least share of a document's shingles that a longer document has, for it to join that one's cluster;
            without it, containment is not looked at.
        on_wipe_out: The build stops if a source loses more than this share of its documents to duplicates; one share,
            or one for each source.
        against: Folders of earlier builds: what they train on or hold out counts as kept before anything else.
    """

    unit: Literal["auto", "words", "characters", "code"] = "auto"
    ngram: Annotated[int, Field(ge=1, le=64)] | None = None
    bands: Annotated[int, Field(ge=1, le=256)] | None = None
    rows: Annotated[int, Field(ge=1, le=64)] | None = None
    permutations: Annotated[int, Field(ge=2, le=16_384)] | None = None
    threshold: Share = 0.72
    proof: Literal["estimate", "exact"] = "estimate"
    containment: Share | None = None
    on_wipe_out: Share | dict[str, Share] = 0.9
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what bands are made of.

        Raises:
            ValueError: Bands are given twice, or none serve the threshold.
        """
        if self.permutations is not None and (self.bands is not None or self.rows is not None):
            raise ValueError("permutations chooses bands and rows: give either it or them")
        self.banding  # noqa: B018 a threshold that no bands serve is a mistake of the study

    @property
    def banding(self) -> tuple[int, int]:
        """Bands of the signature, and values in each."""
        if self.permutations is not None:
            return optimal_bands(self.threshold, self.permutations)
        return 18 if self.bands is None else self.bands, 6 if self.rows is None else self.rows

    def most_lost(self, source: str) -> float:
        """The share of its documents that a source may lose to duplicates."""
        if isinstance(self.on_wipe_out, dict):
            return self.on_wipe_out.get(source, 0.9)
        return self.on_wipe_out


@dataclass(frozen=True, config=_CONFIG)
class RepeatedLines:
    """Boilerplate: lines that many documents of the pool have. Rules may speak of it as of a score, `repeated_lines`.

    Attributes:
        min_documents: Documents in which a line stands at least, to be repeated; near duplicates count as one.
        min_characters: Characters of a line without symbols at least; a shorter one is never repeated.
        unit: Lines, or paragraphs: lines without a blank one between them.
        remove: Whether repeated lines are cut out of the text that is encoded, for all recipes and the held-out set;
            the document with the least id, and its near duplicates, keep theirs.
    """

    min_documents: Annotated[int, Field(ge=2)] = 8
    min_characters: Annotated[int, Field(ge=1)] = 20
    unit: Literal["line", "paragraph"] = "line"
    remove: bool = False

    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "share"
    columns: ClassVar[Any] = REPEATED_LINES


@dataclass(frozen=True, config=_CONFIG)
class Settings:
    """What a study says beside its sources, scores and tokenizer.

    Attributes:
        name: The study's name; a folder of results belongs to one study.
        budgets: Tokens of the rungs, each the beginning of the next; or `{ from, to, per_decade }`; or bytes of text
            ("4GB"), or "20K documents": weights are then shares of these, too.
        recipes: Which documents are in, and in which shares; by name.
        budget_unit: What budgets count; follows from how they are written.
        seed: Another one is another order and another held-out set.
        sequence_length: Tokens in one row of a shard.
        strata: What a mixture is made of: the source, or labels of scores.
        held_out: What is never trained on.
        dedup: What counts as a near duplicate.
        repeated_lines: Lines that many documents repeat.
        bursts: Phrases that many documents of few hosts have.
        curricula: Orders of a rung's documents; by name.
        shard_tokens: Tokens in a shard at most.
        input_ids: How shards keep token ids: `list`, which every reader of Parquet knows, or `binary`, each sequence as
            its ids' little-endian bytes, written and read some ten times as fast.
        max_document_sequences: Of one document stand so many in a row at most: a longer one is cut into pieces of so
            many, each with a place of its own in the order.
        packing: `concatenate` fills every sequence and cuts documents where one ends; `best-fit` cuts only documents
            longer than a sequence, and pads.
        max_rejected: The build stops if a larger share of the records is unreadable.
    """

    name: Annotated[str, Field(pattern=NAME.pattern)]
    budgets: Annotated[tuple[Count, ...], Field(min_length=1), BeforeValidator(expand_budgets)]
    recipes: Annotated[dict[str, Recipe], Field(min_length=1)]
    budget_unit: Unit = "tokens"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    sequence_length: Annotated[int, Field(ge=8, le=2**20)] = 2048
    strata: Annotated[tuple[str, ...], Field(min_length=1)] = ("source",)
    held_out: HeldOut | None = None
    dedup: Dedup = dataclasses.field(default_factory=Dedup)
    repeated_lines: RepeatedLines | None = None
    bursts: Bursts | None = None
    curricula: dict[str, Curriculum] = dataclasses.field(default_factory=dict)
    shard_tokens: Count = 16_000_000
    input_ids: Literal["list", "binary"] = "list"
    max_document_sequences: Annotated[int, Field(ge=1, le=2**20)] | None = None
    packing: Literal["concatenate", "best-fit"] = "concatenate"
    max_rejected: Annotated[float, Field(ge=0, le=1)] = 0.01

    def rung_name(self, budget: object) -> str:
        """The name of the rung of a budget, as the study writes it."""
        return short(int(str(parse_count(budget))), self.budget_unit)

    SECTIONS: ClassVar[tuple[str, ...]] = ("sources", "scores", "tokenizer")

    @property
    def piece_tokens(self) -> int:
        """Tokens of a document that stand in a row at most; 0 where documents are not cut."""
        return (self.max_document_sequences or 0) * self.sequence_length

    @property
    def begins_every(self) -> int:
        """Tokens of a document after which a piece of it begins in a shard; 0 where documents are not cut."""
        return self.sequence_length if self.packing == "best-fit" else self.piece_tokens


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as loaded and checked.

    Attributes:
        settings: Everything but the three sections below.
        sources: By name, in the file's order.
        scores: By name, in the file's order.
        tokenizer: The section's dataclass, from `tokenladder.tokenizers`.
        folder: Where relative paths start.
        text: The file as written.
        weight_files: Files that weights were read from, by recipe.
    """

    settings: Settings
    sources: dict[str, Source]
    scores: dict[str, Family]
    tokenizer: Any
    folder: str
    text: str
    weight_files: dict[str, WeightsFile] = dataclasses.field(default_factory=dict)

    def recipe(self, name: str) -> Recipe:
        """A recipe with its base's rules and settings filled in."""
        recipe = self.settings.recipes[name]
        if recipe.base is None:
            return recipe
        base = self.recipe(recipe.base)
        own = {
            field.name: getattr(recipe, field.name)
            for field in dataclasses.fields(recipe)
            if getattr(recipe, field.name) is not None
        }
        if recipe.weights is not None or recipe.alpha is not None:  # of the two, the one that was said last
            base = dataclasses.replace(base, weights=None, alpha=None)
        return dataclasses.replace(base, **{**own, "base": None, "keep": base.keep + recipe.keep})

    def weights_file(self, name: str) -> WeightsFile | None:
        """The file that a recipe's weights were read from, its own or its base's; None where they are in the study."""
        recipe = self.settings.recipes[name]
        if name in self.weight_files or recipe.base is None or recipe.weights is not None or recipe.alpha is not None:
            return self.weight_files.get(name)
        return self.weights_file(recipe.base)

    def rules(self, name: str) -> tuple[Rule, ...]:
        """All rules of a recipe: first those that its draw and the run that it simulates make, then its own."""
        recipe = self.recipe(name)
        made = []
        if recipe.disjoint is not None:
            this: dict[str, Any] = {"is": str(recipe.permutation or 0)}  # a key that Python keeps for itself
            made.append(Rule(f"draw.{recipe.disjoint}", **this))
        if recipe.simulate is not None:
            made.append(Rule("sample", max=max(self.settings.budgets) / recipe.simulate))
        return (*made, *recipe.keep)

    @property
    def trained_on(self) -> str:
        """The recipe whose text a tokenizer of this study is trained on."""
        named = getattr(getattr(self.tokenizer, "train", None), "recipe", None)
        return str(named) if named else next(iter(self.settings.recipes))

    @property
    def compares(self) -> bool:
        """Whether near duplicates matter: to a recipe, to rules or strata, or because some documents are held out."""
        recipes = [self.recipe(name) for name in self.settings.recipes]
        spoken = [*self.settings.strata, *(rule.score for recipe in recipes for rule in recipe.keep)]
        return (
            self.settings.held_out is not None
            or any(recipe.dedup is not False for recipe in recipes)
            or any(address.startswith(("cluster.", "draw.", "farthest")) for address in spoken)
            or any(recipe.disjoint is not None for recipe in recipes)
        )

    @property
    def rungs(self) -> dict[str, int]:
        """What each rung's budget is, by the rung's name, smallest first."""
        return {self.settings.rung_name(budget): budget for budget in self.settings.budgets}

    def _repr_html_(self) -> str:
        recipes = []
        for name in self.settings.recipes:
            rules = "; ".join(map(str, self.rules(name)))
            recipes.append((name, in_words(self.recipe(name).weights), rules))
        return notebook.show_study(
            self.settings.name,
            {"seed": self.settings.seed, "rungs": ", ".join(self.rungs), "folder": self.folder},
            [(name, one.format, ", ".join(one.paths)) for name, one in self.sources.items()],
            [(name, one.type) for name, one in self.scores.items()],
            recipes,
        )
