"""Data-Juicer's recipes over Parquet. Run by peers.py, with the Python of Data-Juicer's environment.

    python bench/peer_data_juicer.py {equal,rules} DOCUMENTS OUT

Its default executor with one process and without its cache, as `dj-process --config` runs a recipe. It writes
OUT/kept/kept.jsonl. It has no step that writes tokens.

equal    `document_deduplicator`: MD5 of the text
rules    eight filters that need no model, with their own defaults; they are not Gopher's
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from data_juicer.config import init_configs
from data_juicer.core import DefaultExecutor

RECIPES: dict[str, list[dict[str, dict[str, object]]]] = {
    "equal": [{"document_deduplicator": {}}],
    "rules": [
        {name: {}}
        for name in (
            "alphanumeric_filter",
            "average_line_length_filter",
            "character_repetition_filter",
            "maximum_line_length_filter",
            "special_characters_filter",
            "text_length_filter",
            "word_repetition_filter",
            "words_num_filter",
        )
    ],
}


def main() -> None:
    """Run what the arguments name."""
    step, documents, out = sys.argv[1:]
    recipe = {
        "dataset_path": f"{documents}/parquet",
        "export_path": f"{out}/kept/kept.jsonl",
        "np": 1,
        "use_cache": False,
        "process": RECIPES[step],
    }
    config = Path(out) / "recipe.json"
    config.write_text(json.dumps(recipe))
    DefaultExecutor(init_configs(["--config", str(config)])).run()


if __name__ == "__main__":
    main()
