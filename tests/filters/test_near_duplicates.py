"""Near duplicates in many scripts and as source code are alike, and unrelated texts are not."""

from __future__ import annotations

import random
import re

import pyarrow as pa
import pytest

from tokenladder.filters.duplicates import minhash

LETTERS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzäéñøß",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщыьэюя",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύ",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "Devanagari": "कखगघचछजझटठडढतथदधनपफबभमयरलवशषसहािीुूे",
    "Korean": "강은오래된방앗간옆을흐르고배들먼도시에서는곡식과소금이른봄마다",
    "Chinese": "河流过旧磨坊船等待远方城市的粮食和盐每年早春人们来到这里水山",
    "Japanese": "川は古い水車のそばを流れ船が遠く町から来る米と塩を待つカヌーテ",
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวสหอะาิีุูเแโ",
    "Lao": "ກຂຄງຈສຊຍດຕຖທນບປຜຝພຟມຢຣລວຫອຮະາິີ",
    "Khmer": "កខគឃងចឆជញដណតថទធនបផពភមយរលវសហអាិីុ",
    "Burmese": "ကခဂငစဆဇညဏတထဒနပဖဗဘမယရလဝသဟအာိီု",
}
UNSPACED = {"Chinese", "Japanese", "Thai", "Lao", "Khmer", "Burmese"}

CODE = '''# Copyright 2019 The River Authors
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file
# except in compliance with the License. Unless required by applicable law or agreed to in
# writing, software is distributed on an "AS IS" basis, without warranties of any kind.
"""Boats on a river."""

# A boat waits
# until the mill has ground its grain.
def waiting(boats, mill, hours=24):
    total = 0
    for number, boat in enumerate(boats):
        if boat.grain > mill.capacity * hours:
            raise ValueError(f"boat {number} holds {boat.grain} tons")
        total += mill.price(boat.grain, hours)
    return total / max(len(boats), 1)


def tolls(boats, towns):
    found = {}
    for boat in boats:
        for town in towns:
            if town.name in boat.route and not town.free:
                found[boat.name, town.name] = town.toll * boat.length
    return found
'''
OTHER = (
    CODE[: CODE.index('"""')]
    + '''
import json
import socketserver

class Handler(socketserver.StreamRequestHandler):
    """Answers each line with what the table holds."""

    table = json.loads("[]")

    def handle(self):
        while line := self.rfile.readline():
            key, _, rest = line.partition(b":")
            self.wfile.write(json.dumps(self.table[int(key)]).encode() + rest)
'''
)


def similarity(one, two, file_type=None, **fields):
    batch = pa.record_batch({"text": [one, two], "file_type": pa.array([file_type] * 2, pa.string())})
    left, right = minhash.signature_matrix(minhash.MinHash(bands=64, rows=8, **fields).score(batch)["signature"])
    return float(minhash.estimated_jaccard(left, right))


@pytest.mark.parametrize("unit", ["auto", "characters"])
@pytest.mark.parametrize("script", LETTERS)
def test_an_edited_copy_is_alike_in_every_script(script, unit):
    rng = random.Random(script)  # noqa: S311 (a test's own)
    vocabulary = ["".join(rng.choices(LETTERS[script], k=rng.randint(2, 6))) for _ in range(400)]
    space = "" if script in UNSPACED else " "
    original, other = (rng.choices(vocabulary, k=600) for _ in range(2))
    edited = [*original[:300], "X1", *original[301:595]]
    assert similarity(space.join(original), space.join(edited), unit=unit) >= 0.8
    assert similarity(space.join(original), space.join(other), unit=unit) <= 0.2


@pytest.mark.parametrize(
    "change",
    [
        lambda code: code.replace("    ", "\t"),
        lambda code: re.sub(r"([(,=])", r"\1 ", code).replace("\n", "\r\n"),
        lambda code: code[: code.index("total")] + re.sub(r"([(,]) ?", r"\1\n  ", code[code.index("total") :]),
        lambda code: code.replace("# A boat waits\n# until", "#  A boat waits until\n# "),
        lambda code: code.replace(code[: code.index('"""')], "# SPDX-License-Identifier: MIT\n"),
        lambda code: code[code.index('"""') :],
        lambda code: "#!/usr/bin/env python3\n#\n# Copyright (c) 2021 Others. All rights reserved.\n\n" + code,
    ],
    ids=["tabs", "spaces", "wrapped", "comment", "licence", "no licence", "another licence"],
)
def test_code_that_is_written_otherwise_is_the_same(change):
    changed = change(CODE)
    assert changed != CODE
    assert similarity(CODE, changed, "Python") == 1


def test_edited_code_is_alike_and_other_code_under_one_licence_is_not():
    assert similarity(CODE, CODE.replace("hours=24", "hours=12"), "Python") >= 0.8
    assert similarity(CODE, OTHER, "Python") <= 0.2
    assert similarity(CODE, OTHER) > 0.2, "as words, the licence alone would make them alike"
