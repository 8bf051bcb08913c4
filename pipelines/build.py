"""Build: runs a plan, stage by stage. Whatever stands finished in the store is not done again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from ..data_cards.card import render_card
from ..tokenizers.loading import load_bytes
from ..tokenizers.sections import SentencePieceSection, TokenizerSection
from . import choose, cluster, ladders, manifest, store
from .engine import Engine
from .parts import Part, missing, read_all
from .plan import FORMAT
from .schema import DROPPED, REJECTED
from .tokenizer_sample import sampled_texts, share_below

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladders import Ladder, Pool
    from .plan import Plan
    from .progress import Reporter
    from .study import Rule

PIPELINES = "tokenladder.pipelines"
DOCUMENTS_PER_RANGE = 1 << 17
"""Documents for each range of band hashes: 14 bands of 16 bytes make 29 MB a group."""


class BuildError(Exception):
    """A build cannot go on for a reason that lies in the data; exit status 1."""


@dataclass
class _Built:
    """What the stages before the recipes made."""

    summaries: dict[str, dict[str, Any]]
    parts: list[Part]
    pool_identity: str
    clusters: str
    excluded: str | None = None
    held_out: Ladder | None = None


def build(plan: Plan, report: Reporter, beam: Sequence[str] = ()) -> dict[str, Any]:
    """Build a study.

    Args:
        plan: What to do.
        report: Says what is done.
        beam: Beam's own options, the runner among them; never part of a fingerprint.

    Returns:
        The manifest.

    Raises:
        UserError: The study asks for what its input cannot give, or another build is running.
        BuildError: Too much of the input is unreadable, or duplicates wipe out a source.
        OSError: Something cannot be read or written; the same command goes on from there.
    """
    _check_folder(plan)
    with _Lock(plan):
        for folder in {plan.out, plan.store.root}:
            store.sweep(folder)
        return _Build(plan, report, Engine(plan.store.root, beam)).run()


def _check_folder(plan: Plan) -> None:
    path = store.join(plan.out, "manifest.json")
    if not store.exists(path):
        return
    try:
        name = store.read_json(path)["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(f"{path}: is no manifest of a study. Choose another folder with --out.") from error
    if name != plan.study.settings.name:
        mine = plan.study.settings.name
        raise store.UserError(f"{plan.out}: holds the study '{name}', not '{mine}'. Choose another folder with --out.")


class _Lock:
    """One build at a time in a folder. The lock ends with its process, however that ends."""

    def __init__(self, plan: Plan) -> None:
        self._out = plan.out
        self._lock: filelock.BaseFileLock | None = None

    def __enter__(self) -> None:
        if store.is_remote(self._out):
            return  # an object store has no locks: two builds write the same bytes under the same names
        store.write_bytes(store.join(self._out, ".build", "README"), b"Marks of finished files; safe to delete.\n")
        self._lock = filelock.FileLock(store.join(self._out, ".build", "lock"), timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise store.UserError(f"{self._out}: another build is running in this folder. Wait for it to end.") from error

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


class _Build:
    """One run of a plan."""

    def __init__(self, plan: Plan, report: Reporter, engine: Engine) -> None:
        self.plan, self.report, self.engine = plan, report, engine
        self.settings = plan.study.settings

    def run(self) -> dict[str, Any]:
        summaries = self._read()
        parts = self._parts(summaries)
        self._check_rejected(summaries)
        self._score(parts)
        identity = store.fingerprint([[part.source, part.id] for part in parts])
        built = _Built(summaries, parts, identity, self._cluster(parts, identity))
        self._check_wipe_out(built)
        pool = self._pool(built)
        if self.settings.held_out is not None:
            self._hold_out(built, pool)
        recipes = {}
        for name in self.settings.recipes:
            recipe = self.plan.study.recipe(name)
            choices, chosen = self._choose(
                built, pool, name, recipe.keep, draw="document", dedup=recipe.dedup is not False
            )
            ladder = ladders.plan_ladder(
                pool, name, choices, self.plan.study.rungs,
                weights=recipe.weights, repeat=recipe.repeat or 1, identity={"choices": chosen},
            )  # fmt: skip
            recipes[name] = (recipe, choices, ladder)
        return self._publish(built, pool, recipes)

    def _read(self) -> dict[str, dict[str, Any]]:
        plan, folder = self.plan, self.plan.store.path("slices")
        every = {name: (source, piece) for source in plan.sources for name, piece in source.slices}
        todo = missing(folder, every, ".json")
        tasks = [
            {
                "store": plan.store.root,
                "id": name,
                "source": asdict(every[name][0].source),
                "slice": every[name][1].to_json(),
                "scores": plan.scores,
            }
            for name in todo
        ]
        megabytes = sum(every[name][1].bytes for name in todo) / 1e6
        count = lambda: len(todo) - len(missing(folder, todo, ".json"))  # noqa: E731 a name for a stage's count
        with self.report.stage("read and score", len(todo), count, megabytes):
            self.engine.each("read and score", f"{PIPELINES}.read:read_slice", tasks, isolated=True)
        names = list(every)
        found = read_all(store.read_json, [store.join(folder, f"{name}.json") for name in names])
        return dict(zip(names, found, strict=True))

    def _parts(self, summaries: dict[str, dict[str, Any]]) -> list[Part]:
        return [
            Part(source=source.name, id=f"{name}/{n:05d}", **part)
            for source in self.plan.sources
            for name, _ in source.slices
            for n, part in enumerate(summaries[name]["parts"])
        ]

    def _check_rejected(self, summaries: dict[str, dict[str, Any]]) -> None:
        rows = sum(part["rows"] for summary in summaries.values() for part in summary["parts"])
        reasons: dict[str, int] = {}
        for summary in summaries.values():
            for one in summary["outcomes"]:
                if one["outcome"] == REJECTED:
                    reasons[one["reason"]] = reasons.get(one["reason"], 0) + one["records"]
        rejected = sum(reasons.values())
        if rejected > self.settings.max_rejected * rows:
            worst = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:5]
            raise BuildError(
                f"{rejected:,} of {rows:,} records are unreadable ({rejected / rows:.1%}), more than max_rejected = "
                f"{self.settings.max_rejected:g}. Most often: " + "; ".join(f"{n:,} × {reason}" for reason, n in worst)
            )
        if not any(part["documents"] for summary in summaries.values() for part in summary["parts"]):
            skipped = sorted({one["reason"] for s in summaries.values() for one in s["outcomes"] if one["outcome"] == DROPPED})
            raise BuildError(f"The sources hold no document. Records were dropped as: {', '.join(skipped) or 'none'}.")

    def _score(self, parts: list[Part]) -> None:
        place = self.plan.store
        ids = list(dict.fromkeys(part.id for part in parts))
        todo = [
            (fingerprint, part)
            for fingerprint in self.plan.scores
            for part in missing(place.path("scores", fingerprint), ids, ".parquet")
        ]
        tasks = [
            {"store": place.root, "part": part, "fingerprint": fingerprint, **self.plan.scores[fingerprint]}
            for fingerprint, part in todo
        ]
        count = lambda: sum(store.exists(place.score(fingerprint, part)) for fingerprint, part in todo)  # noqa: E731
        with self.report.stage("score", len(tasks), count):
            self.engine.each("score", f"{PIPELINES}.score:score_part", tasks, isolated=True)

    def _cluster(self, parts: list[Part], pool_identity: str) -> str:
        dedup, place = self.settings.dedup, self.plan.store
        sources = [source.name for source in self.plan.sources]
        parameters = {key: value for key, value in asdict(dedup).items() if key != "on_wipe_out"}
        folder = place.path("clusters", store.fingerprint([FORMAT, pool_identity, self.plan.signature, parameters]))
        if store.exists(store.join(folder, "done.json")):
            return folder
        ranges = max(1, sum(part.documents for part in parts) // DOCUMENTS_PER_RANGE)
        common = {"family": self.plan.signature, "bands": dedup.bands, "rows": dedup.rows, "ranges": ranges, "folder": folder}
        tasks = [
            {"store": place.root, "part": part.to_json(), "ordinal": n, "source_ordinal": sources.index(part.source), **common}
            for n, part in enumerate(parts)
        ]
        module = f"{PIPELINES}.cluster"
        with self.report.stage("cluster", len(parts), lambda: 0):
            self.engine.exchange("find candidates", f"{module}:emit_bands", [(f"{module}:link_candidates", common)], tasks)
            names = sorted(store.names(store.join(folder, "edges")))
            tables = read_all(store.read_table, [store.join(folder, "edges", name) for name in names])
            edges = [np.stack([table.column("a").to_numpy(), table.column("b").to_numpy()], axis=1) for table in tables]
            listed = cluster.write_components(folder, np.concatenate([np.zeros((0, 2), np.uint64), *edges]))
            leading = {**common, "threshold": dedup.threshold}
            self.engine.exchange(
                "compare candidates",
                f"{module}:emit_members",
                [(f"{module}:lead", leading), (f"{module}:write_clusters", common)],
                [tasks[n] for n in listed],
            )
        store.write_json(store.join(folder, "done.json"), {"candidates": len(listed)})
        return folder

    def _check_wipe_out(self, built: _Built) -> None:
        lost: dict[str, int] = {}
        members = store.join(built.clusters, "members")
        names = sorted(store.names(members))
        for name, table in zip(names, read_all(lambda p: store.read_table(p, ["leads"]), [store.join(members, n) for n in names]), strict=True):
            source = built.parts[int(name.partition(".")[0])].source
            lost[source] = lost.get(source, 0) + table.num_rows - int(pa.compute.sum(table.column("leads")).as_py() or 0)
        for source, n in lost.items():
            documents = sum(part.documents for part in built.parts if part.source == source)
            if n > self.settings.dedup.on_wipe_out * documents:
                raise BuildError(
                    f"sources.{source}: {n:,} of {documents:,} documents ({n / documents:.1%}) are duplicates, more than "
                    f"dedup.on_wipe_out = {self.settings.dedup.on_wipe_out:g}. Look at the source, or raise that share."
                )

    def _pool(self, built: _Built) -> Pool:
        place = self.plan.store
        path = place.path("pools", f"{built.pool_identity}.json")
        if not store.exists(path):
            store.write_json(path, {"parts": [part.to_json() for part in built.parts]})
        pool = ladders.Pool(
            store=place,
            parts=built.parts,
            parts_path=path,
            sources=[source.name for source in self.plan.sources],
            tokenizer={},
            dtype="",
            sequence_length=self.settings.sequence_length,
            shard_sequences=max(1, self.settings.shard_tokens // self.settings.sequence_length),
            engine=self.engine,
            report=self.report,
        )
        model = self.plan.tokenizer_model or self._train(built, pool)
        tokenizer = load_bytes(self.plan.study.tokenizer, model)
        fingerprint = store.fingerprint(tokenizer.identity())
        where = place.path("tokenizers", f"{fingerprint}.model") if model else ""
        if model and not store.exists(where):
            store.write_bytes(where, model)
        section = TypeAdapter(TokenizerSection).dump_json(self.plan.study.tokenizer).decode()
        spec = {"fingerprint": fingerprint, "section": section, "model": where}
        self.model = model
        self.tokenizer = tokenizer
        return ladders.Pool(**{**vars(pool), "tokenizer": spec, "dtype": tokenizer.dtype.name})

    def _train(self, built: _Built, pool: Pool) -> bytes:
        section = self.plan.study.tokenizer
        if not isinstance(section, SentencePieceSection) or section.train is None:
            return b""
        from ..tokenizers.sentencepieces import train_sentencepiece  # noqa: PLC0415 only where one is trained

        name = store.fingerprint([FORMAT, built.pool_identity, section.train])
        path = self.plan.store.path("trained", f"{name}.model")
        if store.exists(path):
            return store.read_bytes(path)
        folder = self.plan.store.path("samples", name)
        below = share_below(section.train.sample_bytes, sum(part.text_bytes for part in built.parts))
        pool.each_part("sample text", f"{PIPELINES}.tokenizer_sample:sample_part", folder, folder=folder, below=below)
        with self.report.stage("train the tokenizer", 1, lambda: 0):
            model = train_sentencepiece(sampled_texts(folder), section.train)
        store.write_bytes(path, model)
        return model

    def _choose(  # noqa: PLR0913 each is a property of the recipe
        self, built: _Built, pool: Pool, name: str, rules: Sequence[Rule], *, draw: str, dedup: bool
    ) -> tuple[str, str]:
        """Choose for one recipe; return the folder of choices and its fingerprint."""
        recipe = {
            "rules": self.plan.rules(rules),
            "cuts": {},
            "seed": self.plan.draw_seed if draw == "cluster" else self.settings.seed,
            "strata": self.plan.strata() if draw == "document" else [["source"]],
            "dedup": dedup,
            "draw": draw,
            "clusters": built.clusters,
            "excluded": built.excluded,
        }
        if draw == "cluster":
            recipe["strata"] = [["source"]]
        by_tokens = any(rule["top"] is not None and rule["by"] == "tokens" for rule in recipe["rules"])
        tokens = pool.tokenizer["fingerprint"] if by_tokens else None
        relative = {**recipe, "clusters": _tail(built.clusters), "excluded": built.excluded and _tail(built.excluded)}
        identity = store.fingerprint([FORMAT, built.pool_identity, relative, tokens])
        folder = self.plan.store.path("choices", identity)
        if store.exists(store.join(folder, "done.json")):
            return folder, identity
        if by_tokens:
            counts = self.plan.store.path("counts", store.fingerprint(["all", built.pool_identity, tokens]))
            self._encode_all(pool, counts)
        for n, rule in enumerate(recipe["rules"]):
            if rule["top"] is not None:
                tops = store.join(folder, "tops", str(n))
                self.engine.exchange(
                    f"rank {name}", f"{PIPELINES}.choose:emit_top", [(f"{PIPELINES}.choose:rank_top", {"folder": tops})],
                    pool.tasks(recipe=recipe, rule=n, tokens=tokens),
                )  # fmt: skip
                recipe["cuts"][str(n)] = choose.find_cut(tops, rule["top"])
        common = {"recipe": recipe, "folder": folder}
        if dedup:
            ranges = max(1, sum(part.documents for part in built.parts) // DOCUMENTS_PER_RANGE)
            self.engine.exchange(
                f"find survivors of {name}",
                f"{PIPELINES}.choose:emit_rivals",
                [(f"{PIPELINES}.choose:eliminate", {}), (f"{PIPELINES}.choose:write_losers", {"folder": folder})],
                pool.tasks(recipe=recipe, ranges=ranges),
            )
        pool.each_part(f"choose {name}", f"{PIPELINES}.choose:choose_part", store.join(folder, "histograms"), **common)
        store.write_json(store.join(folder, "done.json"), {"recipe": name})
        return folder, identity

    def _encode_all(self, pool: Pool, counts: str) -> None:
        if store.exists(store.join(counts, "done.json")):
            return
        tasks = pool.tasks(choices=None, tokenizer=pool.tokenizer, cutoffs={}, counts=None)
        with self.report.stage("count tokens", len(tasks), lambda: 0):
            self.engine.each("count tokens", f"{PIPELINES}.encode:encode_part", tasks, isolated=True)
        store.write_json(store.join(counts, "done.json"), {})

    def _hold_out(self, built: _Built, pool: Pool) -> None:
        held = self.settings.held_out
        assert held is not None  # noqa: S101 the caller looked
        choices, chosen = self._choose(built, pool, "held_out", held.keep, draw="cluster", dedup=True)
        built.held_out = ladders.plan_ladder(
            pool, "held_out", choices, {"held_out": held.tokens}, identity={"choices": chosen}
        )
        threshold = self.settings.dedup.threshold
        folder = self.plan.store.path(
            "held_out", store.fingerprint([FORMAT, built.held_out.identity, _tail(built.clusters), threshold])
        )
        built.excluded = store.join(folder, "excluded")
        if store.exists(store.join(folder, "done.json")):
            return
        places = store.join(built.held_out.folder, "places")
        common = {"family": self.plan.signature, "clusters": built.clusters, "places": places, "folder": folder}
        tasks = pool.tasks(**common, threshold=threshold)
        inside = [task for task in tasks if f"{task['ordinal']:07d}.parquet" in store.names(places)]
        self.engine.each("gather the held-out set", f"{PIPELINES}.hold_out:gather_part", inside)
        with self.report.stage("hold out", len(tasks), lambda: 0):
            self.engine.each("hold out", f"{PIPELINES}.hold_out:exclude_part", tasks)
        store.write_json(store.join(folder, "done.json"), {})

    def _publish(self, built: _Built, pool: Pool, recipes: dict[str, Any]) -> dict[str, Any]:
        """Write shards and ledgers into the result, and last the manifest that lists them."""
        out = self.plan.out
        target = store.join(out, "manifest.json")
        fingerprint = manifest.fingerprint(self.plan, built.summaries, self.tokenizer.identity())
        if store.exists(target) and store.read_json(target).get("fingerprint") != fingerprint:
            store.remove(target)  # what it lists is about to be replaced
        held = built.held_out
        held_shards = ladders.pack(pool, held, out, "held_out/shards", "held_out/documents") if held else []
        made = {}
        for name, (recipe, choices, ladder) in recipes.items():
            shards = ladders.pack(pool, ladder, out, f"shards/{name}", f"documents/{name}")
            ledgers = self._ledger(built, pool, name, choices, ladder, [str(rule) for rule in recipe.keep])
            made[name] = manifest.Made(ladder, shards, ledgers)
        value = manifest.assemble(self.plan, fingerprint, built.summaries, self.tokenizer, held, held_shards, made)
        if self.model:
            store.write_bytes(store.join(out, "tokenizer.model"), self.model)
        store.write_bytes(store.join(out, "study.toml"), self.plan.study.text.encode())
        store.write_bytes(store.join(out, "README.md"), render_card(value).encode())
        if not store.exists(target) or store.read_json(target) != json.loads(json.dumps(value)):
            store.write_json(target, value)
        return value

    def _ledger(  # noqa: PLR0913, PLR0917 what a ledger is made of
        self, built: _Built, pool: Pool, name: str, choices: str, ladder: Ladder, rules: list[str]
    ) -> list[dict[str, Any]]:
        out = self.plan.out
        held = store.join(built.held_out.folder, "places") if built.held_out else None
        tasks = [
            {
                **task,
                "ledger": store.join(out, "ledger", name, f"{task['ordinal']:05d}.parquet"),
                "marker": store.join(out, ".build", "ledger", name, f"{task['ordinal']:05d}.json"),
                "identity": store.fingerprint([ladder.identity, _tail(choices), rules, list(ladder.rungs)]),
            }
            for task in pool.tasks(
                choices=store.join(choices, "choices"),
                places=store.join(ladder.folder, "places"),
                held_out=held,
                rules=rules,
                rungs=list(ladder.rungs),
                ends=ladder.ends(pool.sequence_length),
            )
        ]
        todo = [task for task in tasks if not _accounted(task)]
        with self.report.stage(f"account for {name}", len(todo), lambda: 0):
            self.engine.each(f"account for {name}", f"{PIPELINES}.ledger:write_ledger", todo)
        for folder, kind in ((store.join(out, "ledger", name), "ledger"), (store.join(out, ".build", "ledger", name), "marker")):
            for left in store.names(folder) - {task[kind].rpartition("/")[2] for task in tasks}:
                store.remove(store.join(folder, left))
        markers = read_all(store.read_json, [task["marker"] for task in tasks])
        return [{"path": f"ledger/{name}/{n:05d}.parquet", **marker} for n, marker in enumerate(markers)]


def _accounted(task: dict[str, Any]) -> bool:
    if not (store.exists(task["marker"]) and store.exists(task["ledger"])):
        return False
    return store.read_json(task["marker"])["identity"] == task["identity"]  # type: ignore[no-any-return]


def _tail(path: str) -> str:
    """A path in the store without the store: the part that is the same wherever it stands."""
    return "/".join(path.split("/")[-2:])
