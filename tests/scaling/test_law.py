from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.scaling.laws.law import Parameter, law
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.runs.columns import numbers, take

import naive


def some_runs(law, generator, count=5):
    """Columns of plausible sizes for a law; shares of a mixture sum to one."""
    runs = {}
    for name in law.columns:
        if name.startswith("share_"):
            continue
        low, high = (0.05, 0.95) if name in {"share", "quality"} else (1e7, 1e10)
        if name.endswith("loss"):
            low, high = 3.0, 5.0
        runs[name] = np.exp(generator.uniform(np.log(low), np.log(high), count))
    shares = [name for name in law.columns if name.startswith("share_")]
    if shares:
        runs |= dict(zip(shares, generator.dirichlet(np.ones(len(shares)), count).T, strict=True))
    if "unique_tokens" in runs and "tokens" in runs:
        runs["unique_tokens"] = runs["tokens"] * generator.uniform(0.02, 1.0, count)
    return runs


@pytest.mark.parametrize("name", LAWS)
def test_a_law_knows_its_formula_source_units_and_columns(name):
    one = LAWS[name]
    assert one.formula_text
    assert one.source
    assert all(parameter.unit for parameter in one.parameters)
    assert len(set(one.names)) == len(one.names)
    assert one.target not in one.columns


@pytest.mark.parametrize("name", LAWS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_gradients_are_exact(name, seed):
    one, generator = LAWS[name], np.random.default_rng(seed)
    runs = some_runs(one, generator)
    theta = np.array(
        [
            np.exp(generator.uniform(*np.log(p.start))) if p.scale == "log" else generator.uniform(*p.start)
            for p in one.parameters
        ]
    )
    exact, plain = one.gradient(theta, runs), naive.law_gradient(one, theta, runs)
    assert exact.shape == (theta.size, 5)
    scale = np.abs(one.predict(theta, runs)) / np.maximum(np.abs(theta), 1e-3)[:, None]
    np.testing.assert_allclose(exact, plain, rtol=2e-4, atol=float((1e-5 * scale).max()))


@pytest.mark.parametrize("name", LAWS)
def test_many_parameter_vectors_at_once_predict_as_one_by_one(name):
    one, generator = LAWS[name], np.random.default_rng(5)
    runs = some_runs(one, generator)
    thetas = np.array([[p.start[0], p.start[1]] for p in one.parameters]).T
    together, slopes = one.predict(thetas, runs), one.gradient(thetas, runs)
    for index, theta in enumerate(thetas):
        np.testing.assert_array_equal(together[index], one.predict(theta, runs))
        np.testing.assert_array_equal(slopes[index], one.gradient(theta, runs))


def test_a_held_parameter_leaves_the_rest_as_it_was():
    runs = {"params": np.array([1e8, 1e9]), "tokens": np.array([1e10, 1e9])}
    full = {"A": 400.0, "B": 500.0, "E": 1.7, "alpha": 0.3, "beta": 0.31}
    held = LAWS["chinchilla"].fixed(E=1.7, beta=0.31)
    rest = {"A": 400.0, "B": 500.0, "alpha": 0.3}
    np.testing.assert_array_equal(held.predict(rest, runs), LAWS["chinchilla"].predict(full, runs))
    np.testing.assert_array_equal(held.gradient(rest, runs), LAWS["chinchilla"].gradient(full, runs)[[0, 1, 3]])


def test_a_law_of_ones_own_is_a_function_and_a_box():
    mine = law(
        "mine",
        lambda p, c: p["E"] + p["A"] * np.exp(-p["a"] * np.log(c["tokens"])) + p["shift"],
        ("tokens",),
        {"E": (1.0, 3.0), "A": (1.0, 1e5), "a": (0.1, 1.0), "shift": (-1.0, 1.0)},
    )
    assert [(p.scale, p.low, p.high) for p in mine.parameters] == [
        ("linear", 0.0, 23.0),
        ("log", 1e-3, 1e8),
        ("linear", 0.0, 10.0),
        ("linear", -21.0, 21.0),
    ]


def message(call, *arguments, **named):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_a_formula_that_takes_no_complex_numbers_is_refused():
    box = {"a": (0.1, 1.0)}
    assert "has no exact derivative by 'a'" in message(law, "m", lambda p, c: np.abs(p["a"] * 1j) + c["x"], ("x",), box)
    assert "cannot be differentiated" in message(law, "m", lambda p, c: np.maximum(p["b"], c["x"]), ("x",), box)
    assert message(law, "m", lambda p, c: p["a"] * c["x"], ("x",), {"a": (1.0, 1.0)}) == (
        "The start box of 'a' needs (least, largest) with least < largest, not (1.0, 1.0)."
    )


def test_messages_name_what_is_wrong():
    one = LAWS["chinchilla"]
    good = {"params": np.array([1e8]), "tokens": np.array([1e9])}
    theta = dict.fromkeys(one.names, 1.0)
    assert message(one.predict, theta, {"params": good["params"]}) == (
        "The law needs the column 'tokens' (tokens that training saw, repeats counted again), "
        "but the runs table has only: params."
    )
    assert message(one.predict, theta, good | {"tokens": np.array([-1.0])}) == (
        "The column 'tokens' must hold a finite number above zero, but row 0 has -1.0."
    )
    assert message(one.predict, theta, good | {"tokens": np.array(["many"])}).startswith(
        "The column 'tokens' must hold numbers: "
    )
    assert message(one.predict, theta, good | {"tokens": np.array([1.0, 2.0])}) == (
        "The columns of the runs table differ in length: params 1, tokens 2."
    )
    assert message(one.predict, {"A": 1.0}, good) == (
        "The law 'chinchilla' has the parameters A, B, E, alpha, beta, not A."
    )
    assert (
        message(one.fixed, gamma=1.0) == "The law 'chinchilla' has no parameter 'gamma'; it has A, B, E, alpha, beta."
    )
    assert message(numbers, {}, ["loss"]) == "The runs table has no columns."
    assert message(Parameter, "a", "", 1.0, 2.0, (0.5, 1.5)) == (
        "The parameter 'a' needs low ≤ start ≤ high and low < high, but has low 1.0, start (0.5, 1.5), high 2.0."
    )
    assert message(Parameter, "a", "", 0.0, 2.0, (0.5, 1.5), "log") == (
        "The parameter 'a' is on a log scale, so low must be above 0, not 0.0."
    )


def test_rows_are_taken_from_every_column():
    taken = take(
        {"loss": np.array([1.0, 2.0, 3.0]), "recipe": np.array(["a", "b", "c"])}, np.array([True, False, True])
    )
    assert {name: values.tolist() for name, values in taken.items()} == {"loss": [1.0, 3.0], "recipe": ["a", "c"]}
