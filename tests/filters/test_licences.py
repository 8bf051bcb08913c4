"""Licences: tags, notices and licence files, and what expressions oblige one to."""

from __future__ import annotations

import importlib.resources

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.provenance.licence_classes import CLASSES, UNKNOWN, class_of, parse
from tokenladder.filters.provenance.licences import LARGEST, Licence, identify

APACHE = """\
# Copyright 2020 Ada
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
"""
MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
IDENTIFIERS = {
    "permissive": "MIT Apache-2.0 BSD-3-Clause-Clear ISC CC-BY-4.0 CC0-1.0 0BSD Unlicense Zlib BSL-1.0 PSF-2.0",
    "weak_copyleft": "LGPL-2.1-only LGPL-3.0+ MPL-2.0 EPL-2.0 CDDL-1.0 MS-RL",
    "copyleft": "GPL-2.0 GPL-3.0-or-later AGPL-3.0-only CC-BY-SA-4.0 EUPL-1.2 GFDL-1.3",
    "proprietary": "BUSL-1.1 SSPL-1.0 CC-BY-NC-4.0 CC-BY-NC-SA-3.0-DE CC-BY-ND-2.0 Elastic-2.0",
    "unknown": "LicenseRef-mine Nonsense X",
}


def scored(texts, ids=None, **parameters):
    columns = {"text": pa.array(texts, pa.string())}
    if ids is not None:
        columns["licence_id"] = pa.array(ids, pa.string())
    rows = Licence(**parameters).score(pa.record_batch(columns)).to_pylist()
    return [(row["spdx"], row["class"], row["where"]) for row in rows]


@pytest.mark.parametrize(("kind", "names"), IDENTIFIERS.items())
def test_identifiers_have_their_class(kind, names):
    assert {name: class_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("MIT OR GPL-2.0-only", "permissive"),
        ("MIT AND GPL-2.0-only", "copyleft"),
        ("(MIT AND LGPL-2.1-only) OR GPL-3.0-only", "weak_copyleft"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "weak_copyleft"),
        ("GPL-2.0-only WITH Font-exception-2.0", "copyleft"),
        ("MIT AND LicenseRef-mine", "unknown"),
        ("MIT OR LicenseRef-mine", "permissive"),
        ("GPL-3.0-only AND LicenseRef-mine", "copyleft"),
    ],
)
def test_expressions_come_to_one_class(expression, kind):
    assert parse(expression) == (expression, kind)


@pytest.mark.parametrize(
    "expression", ["", "AND", "MIT AND", "(MIT", "MIT)", "MIT GPL-2.0", "see file", "MIT/X", "(" * 600]
)
def test_what_is_no_expression_is_none(expression):
    assert parse(expression) is None


PIECES = ["MIT", "GPL-2.0-only", "X", "AND", "OR", "with", "(", ")", "Classpath-exception-2.0", "/", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_tokens_parse_or_do_not(tokens):
    found = parse(" ".join(tokens))
    if found is not None:
        assert parse(found[0]) == found
        assert found[1] in CLASSES


def test_a_tag_comes_before_a_notice_and_a_notice_before_the_file():
    tag = "// SPDX-License-Identifier: MPL-2.0\n"
    texts = [tag + APACHE, APACHE + "x = 1\n", MIT, "x = 1\n", "x = 1\n", None]
    ids = ["MIT", "MIT", "GPL-3.0-only", "GPL-3.0-only", None, "MIT"]
    assert scored(texts, ids) == [
        ("MPL-2.0", "weak_copyleft", "header"),
        ("Apache-2.0", "permissive", "notice"),
        ("MIT", "permissive", "notice"),
        ("GPL-3.0-only", "copyleft", "file"),
        (None, UNKNOWN, "none"),
        (None, None, None),
    ]
    assert scored(texts[1:3], ids[1:3], notices=False) == [
        ("MIT", "permissive", "file"),
        ("GPL-3.0-only", "copyleft", "file"),
    ]


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("/* SPDX-License-Identifier: MIT */", "MIT"),
        ("<!-- SPDX-License-Identifier: MIT -->", "MIT"),
        ("# SPDX-License-Identifier: mit or Apache-2.0\r", "mit OR Apache-2.0"),
        ("; SPDX-License-Identifier:\tGPL-2.0-or-later WITH Bison-exception-2.2 # as is", None),
        ("# SPDX-License-Identifier: (MIT AND BSD-2-Clause)", "(MIT AND BSD-2-Clause)"),
    ],
)
def test_a_tag_is_cut_from_its_comment(line, expression):
    wanted = expression or "GPL-2.0-or-later WITH Bison-exception-2.2"
    assert scored([f"{line}\nx = 1\n"])[0][0::2] == (wanted, "header")


def test_a_tag_far_down_is_part_of_the_text():
    assert scored(["x" * 5000 + "\nSPDX-License-Identifier: MIT\n"]) == [(None, UNKNOWN, "none")]


def test_the_licence_files_of_installed_packages_are_named():
    files = [
        file
        for name in ("numpy", "licenseclassifier")
        for file in importlib.metadata.files(name) or ()
        if file.name.lower().startswith("licen") and file.suffix in {"", ".txt", ".md"} and "dist-info" in str(file)
    ]
    found = {identify(file.read_text(encoding="utf-8")) for file in files}
    assert any("BSD-3-Clause" in each for each in found if each)


def test_a_long_file_is_looked_at_from_its_beginning():
    assert identify(MIT + " " * LARGEST + "no more") == "MIT"
    assert identify(" " * LARGEST + MIT) is None


def test_the_detector_is_part_of_the_identity_where_it_is_used():
    assert Licence().identity()["detector"] == f"licenseclassifier {importlib.metadata.version('licenseclassifier')}"
    assert Licence(notices=False).identity()["detector"] is None
