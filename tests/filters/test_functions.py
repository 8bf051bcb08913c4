from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tokenladder.filters.measures.functions import Function, FunctionError

OWN = f"{Path(__file__).parent / 'own_score.py'}:count"
BEGIN = "import pyarrow as pa\nimport pyarrow.compute as pc\n"


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@pytest.fixture
def function(tmp_path):
    def write(body, **arguments):
        path = tmp_path / "mine.py"
        path.write_text(f"{BEGIN}def score(documents, **arguments):\n    {body}\n")
        return Function(f"{path}:score", arguments)

    return write


def test_columns_are_what_the_function_gives_and_rows_without_text_are_null():
    family = Function(OWN, {"letter": "e"})
    assert family.columns == pa.schema([("count", pa.int32()), ("has", pa.string())])
    assert (family.LABEL, family.VALUE) == ("has", "count")
    scored = family.score(batch([None, "here", "x", None, ""]))
    assert scored.to_pydict() == {"count": [None, 2, 0, None, 0], "has": [None, "yes", "no", None, "no"]}
    assert family.score(batch([None])).to_pydict() == {"count": [None], "has": [None]}


@pytest.mark.parametrize(
    "body",
    [
        "return {'n': [len(text) for text in documents['text'].to_pylist()]}",
        "return pa.record_batch({'n': pc.binary_length(documents['text']).cast(pa.int64())})",
        "return pa.table({'n': pa.chunked_array([pc.binary_length(documents['text']).cast(pa.int64())])})",
        "import numpy as np; return {'n': np.array([len(text) for text in documents['text'].to_pylist()], np.int64)}",
    ],
)
def test_columns_may_be_lists_arrays_or_batches(function, body):
    assert function(body).score(batch(["four", "", None])).to_pydict() == {"n": [4, 0, None]}


def test_values_that_are_no_numbers_are_equal_to_themselves(function):
    odd = function("return {'v': [float('nan')] * len(documents)}")
    assert odd.columns.field("v").type == pa.float64()


def test_the_identity_follows_the_source_and_the_arguments(function, tmp_path):
    one = function("return {'n': [1] * len(documents)}")
    first = one.identity()
    assert (first["function"], first["arguments"]) == ("score", {})
    assert function("return {'n': [1] * len(documents)}", a=1).identity() != first
    other = function("return {'n': [2] * len(documents)}")
    second = other.identity()
    assert second["source"] != first["source"]
    assert one.score(batch(["x"])).to_pydict() == {"n": [2]}
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "mine.py").rename(tmp_path / "elsewhere" / "mine.py")
    assert Function(f"{moved}:score").identity() == second


def test_a_module_beside_it_can_be_imported(tmp_path):
    (tmp_path / "beside_mine.py").write_text("FACTOR = 3\n")
    (tmp_path / "mine.py").write_text(
        "from beside_mine import FACTOR\ndef score(documents):\n    return {'n': [FACTOR] * len(documents)}\n"
    )
    assert Function(f"{tmp_path / 'mine.py'}:score").score(batch(["x"])).to_pydict() == {"n": [3]}


def test_an_installed_module_needs_no_path():
    with pytest.raises(FunctionError, match=r"json:dumps: raised TypeError: Object of type RecordBatch is not JSON"):
        Function("json:dumps").score(batch(["x"]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return 1 / 0",
            r"mine\.py:score: raised ZeroDivisionError: division by zero \(.*mine\.py, line 4\) for a batch",
        ),
        ("return 3", r"gave int; return a mapping from names to columns, such as \{\"length\""),
        ("return {}", r"gave dict; return a mapping"),
        ("return {'n': [1]}", r"gave 1 rows for 2 documents; give one for each, in order"),
        ("return {'n': [1, 2], 'm': [1]}", r"its columns differ in length \(n 2, m 1\); give one row a document"),
        ("return {'n': [1, 'x']}", r"column 'n' is no column of values"),
        ("return {'n': [None] * len(documents)}", r"column 'n' holds null; give it a type, such as pa\.array"),
        (
            "score.n = getattr(score, 'n', 0) + 1; return {'n': [score.n] * 2}",
            r"gave other values for the same documents at its second call",
        ),
    ],
)
def test_a_function_that_gives_no_columns_is_told(function, body, message):
    with pytest.raises(FunctionError, match=message):
        function(body).columns  # noqa: B018 it is computed


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return {'n' if len(documents) == 2 else 'm': [1] * len(documents)}",
            r"gave the columns m, but at first n; give",
        ),
        (
            "return {'n': [1 if len(documents) == 2 else 'x'] * len(documents)}",
            r"column 'n' holds string, but at first int64; make it of one type for every batch",
        ),
    ],
)
def test_a_function_that_changes_its_columns_is_told(function, body, message):
    with pytest.raises(FunctionError, match=message):
        function(body).score(batch(["x", "y", "z"]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_such_module:score",
            r"there is no module no_such_module; put no_such_module\.py beside the study, or install",
        ),
        ("no.such:score", r"there is no module no\.such; put no/such\.py beside"),
        ("/none/mine.py:score", r"there is no module /none/mine\.py\."),
    ],
)
def test_a_missing_module_is_told(name, message):
    with pytest.raises(FunctionError, match=message):
        Function(name).identity()


def test_a_missing_function_and_a_broken_module_are_told(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def scores(documents): ...\n_x = 1\n")
    with pytest.raises(FunctionError, match=r"score does not exist in .*mine\.py; there are scores\."):
        Function(f"{path}:score").columns  # noqa: B018 it is computed
    with pytest.raises(FunctionError, match=r"_x is no function in .*mine\.py; there are scores\."):
        Function(f"{path}:_x").columns  # noqa: B018 it is computed
    path.write_text("import no_such_thing\n")
    with pytest.raises(
        FunctionError, match=r"mine\.py: cannot be imported: ModuleNotFoundError: No module named 'no_such"
    ):
        Function(f"{path}:score").columns  # noqa: B018 it is computed


@pytest.mark.parametrize("name", ["score", ":score", "mine:", "mine:a b"])
def test_what_is_no_name_of_a_function_is_refused(name):
    with pytest.raises(ValueError, match=r'function: write function = "module:function"; it is'):
        Function(name)
