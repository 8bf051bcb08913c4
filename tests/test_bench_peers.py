"""The benchmark against Dolma, Data-Juicer and NeMo Curator: what it reads of their output, and what its table says."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        import peers

        yield peers


def test_ids_are_read_from_every_tool_s_format(peers, tmp_path):
    pq.write_table(pa.table({"id": ["a"], "text": ["x"]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"row": [1]}), tmp_path / "duplicates.parquet")
    (tmp_path / "kept.jsonl").write_text('{"id": "b"}\n')
    (tmp_path / "kept_stats.jsonl").write_text('{"ratio": 1}\n')
    (tmp_path / "kept-0000.json.gz").write_bytes(gzip.compress(b'{"id": "c"}\n'))
    assert peers.ids(tmp_path) == {"a", "b", "c"}


def test_tokens_are_counted_by_two_bytes_in_their_files_alone(peers, tmp_path):
    for name, size in (("x.npy", 20), ("x.bin", 6), ("x.ds", 4), ("x.idx", 100), ("x.csv.gz", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    assert peers.written(tmp_path) == 15


def test_merges_are_rewritten_as_an_older_library_reads_them(peers, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"merges": [["a", "b"], "c d"], "vocab": {}}}))
    assert json.loads(peers.old_form(path).read_text())["model"]["merges"] == ["a b", "c d"]


def test_the_table_takes_off_start_up_and_counts_equal_decisions(peers):
    runs = {
        "TokenLadder": ([peers.Run(3.0, frozenset("abc"))], [peers.Run(1.0, frozenset("a"))]),
        "datatrove": ([peers.Run(41.0, frozenset("ab"))], [peers.Run(1.0, frozenset("a"))]),
        "nemo-curator": "does not run here: no GPU",
    }
    assert peers.table("rules", runs, 5, 10.0).splitlines()[2:] == [
        "| TokenLadder | 5.00 | 1.0 | 3 | 4 | 5 |",
        "| datatrove | 0.25 | 1.0 | 2 | 5 | 4 |",
        "| nemo-curator | does not run here: no GPU | | | | |",
    ]


def test_a_peer_that_fails_is_quoted(peers):
    with pytest.raises(peers.UnavailableError, match="ModuleNotFoundError: No module named 'cudf'"):
        peers.checked([sys.executable, "-c", "raise ModuleNotFoundError(\"No module named 'cudf'\")"])


def test_our_rules_keep_what_passes_both_scores(peers, tmp_path):
    good = "The house that we have is near to the old mill, and people of the town come by with flour. "
    plain = good + " ".join(f"The word{n} and mill{n}" for n in range(60))
    texts = [plain, "too short", good * 20]
    (tmp_path / "parquet").mkdir()
    (tmp_path / "kept").mkdir()
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": texts}), tmp_path / "parquet" / "0.parquet")
    peers.checked([sys.executable, BENCH / "peers_ours.py", "unicode", tmp_path, tmp_path])
    assert peers.ids(tmp_path / "kept") == {"a"}
