"""Which repository a name stands for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tokenladder.filters.provenance.repository import Repository

NAMES = {
    "numpy/numpy/core.py": ("numpy", "numpy/numpy"),
    "ada/engine/src/a/b.py": ("ada", "ada/engine"),
    "README.md": ("", ""),
    "a/b.py": ("a", "a"),
    "https://github.com/ada/engine/blob/main/a.py": ("ada/engine", "ada/engine"),
    "https://raw.githubusercontent.com/ada/engine/main/a.py?x#y": ("ada/engine", "ada/engine"),
    "https://www.gitlab.com/ada/engine": ("ada/engine", "ada/engine"),
    "https://github.com/ada": ("github.com", "github.com"),
    "http://analytical.org:8080/page": ("analytical.org:8080", "analytical.org:8080"),
    "ftp://analytical.org": ("analytical.org", "analytical.org"),
}


def scored(parameters, **columns):
    batch = pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return Repository(**parameters).score(batch)["repository"].to_pylist()


@pytest.mark.parametrize("depth", [1, 2])
def test_names_give_their_repository(depth):
    found = scored({"depth": depth}, text=["x"] * len(NAMES), name=list(NAMES))
    assert dict(zip(NAMES, found, strict=True)) == {name: wanted[depth - 1] for name, wanted in NAMES.items()}


def test_an_archive_is_a_repository_where_asked_for():
    records = ["repos/ada.tar.gz!engine/a.py", "plain.py", None]
    assert scored({"by": "archive"}, text=["x", "y", "z"], record=records) == ["repos/ada.tar.gz", "", ""]


def test_without_names_there_are_none():
    assert scored({}, text=["x", None]) == ["", None]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": 0}, r"^repository: depth must be from 1 to 8 folders; it is 0\.$"),
        ({"depth": 9}, r"^repository: depth must be from 1 to 8 folders; it is 9\.$"),
        ({"by": "host"}, r"^repository: by must be folder or archive; it is 'host'\.$"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Repository(**parameters)
