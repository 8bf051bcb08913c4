"""Python's way in: `tokenladder.load`, `plan` and `build`. The commands of the same names do the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..data_cards import notebook
from ..training.rung import list_rungs, open_rung
from .drivers import build as builder
from .drivers.plan import Plan, make_plan
from .files.store import UserError, absolute
from .study import file as study_file
from .study.study import Study
from .watch.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..training.rung import Rung


@dataclass(frozen=True, repr=False)
class Built:
    """A finished build. Made by `build`.

    Attributes:
        out: Its folder.
        manifest: What `manifest.json` holds.
    """

    out: str
    manifest: dict[str, Any]

    @property
    def root_hash(self) -> str:
        """One hash over all shards, ledgers and counts, in hex: equal wherever the same study was built."""
        return str(self.manifest["root_hash"])

    @property
    def rungs(self) -> list[str]:
        """Names that `open_rung` takes: `RECIPE-RUNG`, `CURRICULUM-RUNG`, and `held_out` where there is one."""
        return list_rungs(self.out)

    def open_rung(self, name: str) -> Rung:
        """A rung's sequences; nothing is read before the first is asked for.

        Raises:
            UserError: There is no such rung.
        """
        return open_rung(self.out, name)

    def __repr__(self) -> str:
        recipes = ", ".join(self.manifest["recipes"])
        return f"<build {self.manifest['name']} in {self.out}: recipes {recipes}; root hash {self.root_hash[:12]}>"

    def _repr_html_(self) -> str:
        return notebook.show_manifest(self.manifest, self.out)


def load(path: str | os.PathLike[str], *, text: str | None = None) -> Study:
    """Read and check a study file.

    Args:
        path: A TOML file, local, s3:// or gs://.
        text: The study itself, in place of what the file holds: one that a program made. Relative paths in it start at
            the folder of `path`, which need not exist.

    Raises:
        UserError: There is no such file, or no path was given.
        StudyError: The study has mistakes; all of them are named, each with its key, what was given and what would do.
    """
    given: tuple[object, object] = path, text  # a notebook may give anything
    if not isinstance(given[0], str | os.PathLike):
        raise UserError(f"load: {path!r} is no path. Give one as text, such as load('study.toml'); a study in text=.")
    if not isinstance(given[1], str | None):
        raise UserError(f"load: text is {type(text).__name__}, and must be a string, such as data.decode().")
    if text is None:
        return study_file.load(os.fspath(path))
    return study_file.parse(text.removeprefix("\ufeff"), absolute(os.fspath(path)))


def plan(
    study: Study | str | os.PathLike[str],
    out: str | os.PathLike[str] = "built",
    *,
    store: str | os.PathLike[str] | None = None,
) -> Plan:
    """What a build would do: inputs listed, everything fingerprinted, mistakes found. Nothing is written.

    Args:
        study: A study, or its file.
        out: Folder of the result, local, s3:// or gs://.
        store: The store: folder of stage outputs, shared by builds that name it; inside `out` by default.

    Raises:
        UserError: The study cannot be built; all reasons at once.
    """
    loaded = study if isinstance(study, Study) else load(study)
    return make_plan(loaded, os.fspath(out), None if store is None else os.fspath(store))


def build(
    study: Study | Plan | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    beam: Sequence[str] = (),
    quiet: bool = False,
) -> Built:
    """Build a study: read, score, find duplicates, choose, encode and pack. Finished work is kept.

    Args:
        study: A study, its file, or the plan of one, which says by itself where the result goes.
        out: Folder of the result, local, s3:// or gs://; `built` by default.
        store: The store, as in `plan`.
        beam: Beam's own options, such as `["--direct_num_workers=4"]`; they never change a byte of the result.
        quiet: Say nothing on standard error.

    Raises:
        UserError: The study asks for what its input cannot give, another build is running in the folder, or Beam does
            not know an option.
        BuildError: Too much of the input is unreadable, or duplicates wipe out a source.
        OSError: Something cannot be read or written; the same call goes on from there.
    """
    if isinstance(beam, str):
        raise UserError(f"beam: give a list, such as [{beam!r}].")
    if isinstance(study, Plan):
        if out is not None or store is not None:
            raise UserError(f"The plan says where its result goes: {study.out}. Leave out and store away.")
        planned = study
    else:
        planned = plan(study, "built" if out is None else out, store=store)
    return Built(planned.out, builder.build(planned, Reporter(quiet=quiet), tuple(beam)))
