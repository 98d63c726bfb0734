"""The estimators are scikit-learn's in every respect, and what they know is in the array."""

import pickle
import warnings
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone as sklearn_clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from backpulse import BackpulseClassifier, BackpulseRegressor, InputError
from backpulse.firmware_py.device import PRESETS
from backpulse.host import estimators
from backpulse.host.board import Board

from .real_boards import real_board

WINE: Any = load_wine(return_X_y=True)
DIABETES: Any = load_diabetes(return_X_y=True)
IRIS: Any = load_iris(return_X_y=True)
NOT_ASKED = {"check_array_api_input"}
"""Skipped by scikit-learn itself where SCIPY_ARRAY_API is not set."""


@pytest.mark.parametrize("estimator", [BackpulseClassifier(), BackpulseRegressor()], ids=lambda e: type(e).__name__)
def test_scikit_learns_own_checks_pass(estimator):
    np.random.seed(1)  # of what has no random_state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        results = check_estimator(estimator, on_skip=None)
    assert len(results) > 50
    assert {one["check_name"] for one in results if one["status"] != "passed"} <= NOT_ASKED


def test_wine_is_learned_as_by_scikit_learns_network():
    X, y = WINE
    ours = cross_val_score(make_pipeline(StandardScaler(), BackpulseClassifier(random_state=1)), X, y, cv=5)
    theirs = cross_val_score(make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=1)), X, y, cv=5)
    assert ours.mean() >= theirs.mean() - 0.03
    assert ours.min() > 0.9


def test_a_search_runs_on_two_processes():
    grid = {"learning_rate_init": [0.001, 0.1], "device": ["ideal", "ecram"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(BackpulseClassifier(max_iter=10, random_state=1), grid, cv=2, n_jobs=2).fit(*IRIS)
    assert search.best_params_["learning_rate_init"] == 0.1
    score: Any = search.score(*IRIS)
    assert score > 0.9


def test_numbers_are_learned():
    X, y = DIABETES
    assert cross_val_score(BackpulseRegressor(random_state=1), X, y, cv=3).mean() > 0.35
    both = np.column_stack([X[:, 2], 3 * X[:, 2] + 1])
    model = BackpulseRegressor(activation="tanh", random_state=1).fit(X[:, 2:3], both)
    assert model.predict(X[:, 2:3]).shape == both.shape
    assert model.score(X[:, 2:3], both) > 0.95


def clone(model) -> Any:
    return sklearn_clone(model)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_hand(model, X, function=sigmoid):
    """Return the sums of the last layer by `coefs_`."""
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        X = function(X @ W + b)
    return X @ model.coefs_[-1] + model.intercepts_[-1]


def test_the_weights_are_for_the_data_as_it_is():
    X, y = IRIS
    model = BackpulseClassifier((7, 5), random_state=1).fit(X, y)
    assert [W.shape for W in model.coefs_] == [(4, 7), (7, 5), (5, 3)]
    outputs = sigmoid(by_hand(model, X))
    assert np.abs(outputs / outputs.sum(axis=1, keepdims=True) - model.predict_proba(X)).max() < 0.03
    numbers = BackpulseRegressor(random_state=1).fit(X[:, :3], X[:, 3])
    step = np.ptp(X[:, 3]) / 2 * 4 / 128  # of a sense word, at weight scale 4; there are two layers
    assert np.abs(by_hand(numbers, X[:, :3])[:, 0] - numbers.predict(X[:, :3])).max() < 2 * step


def test_what_is_learned_in_parts_goes_on_in_the_same_array():
    X, y = IRIS
    model = BackpulseClassifier(device="ecram", random_state=3).partial_fit(X, y, classes=[0, 1, 2])
    first: Any = model._rest
    for _ in range(30):
        model.partial_fit(X, y)
    last: Any = model._rest
    assert (last.spread == first.spread).all()  # the same devices
    assert all((last.random[stream] != states).all() for stream, states in first.random.items())
    assert (model.n_iter_, model.t_, len(model.loss_curve_)) == (31, 31 * 150, 31)
    assert model.loss_curve_[-1] < model.loss_curve_[0] / 2
    assert model.score(X, y) > 0.9
    with pytest.raises(InputError, match="y has 7, which is none of the classes 0, 1, 2"):
        model.partial_fit(X, np.full(len(y), 7))
    with pytest.raises(InputError, match="classes must be those of the first partial_fit, 0, 1, 2, not 0, 1"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(InputError, match="The first partial_fit needs all classes"):
        BackpulseClassifier().partial_fit(X, y)
    numbers = BackpulseRegressor(random_state=1).partial_fit(X[:, :3], X[:, 3])
    with pytest.raises(InputError, match="y has 2 outputs, and the first fit had 1"):
        numbers.partial_fit(X[:, :3], X[:, 2:])


def test_a_warm_start_goes_on():
    with pytest.warns(ConvergenceWarning, match="The 5 epochs of max_iter are over"):
        model = BackpulseClassifier(max_iter=5, warm_start=True, random_state=1).fit(*IRIS)
    before = model.loss_
    with pytest.warns(ConvergenceWarning):
        model.fit(*IRIS)
    assert (model.n_iter_, len(model.loss_curve_)) == (10, 10)
    assert model.loss_curve_[5] < model.loss_curve_[0]
    assert model.loss_ < before
    with pytest.warns(ConvergenceWarning):
        assert clone(model).set_params(warm_start=False).fit(*IRIS).loss_ == before


def test_the_best_epoch_of_the_validation_part_is_kept():
    X, y = WINE
    model = BackpulseClassifier(early_stopping=True, learning_rate_init=0.3, random_state=2, device="ecram").fit(X, y)
    scores: Any = model.validation_scores_
    best = int(np.argmax(scores))
    assert model.n_iter_ == best + 12  # more than 10 without a better one
    with pytest.warns(ConvergenceWarning):
        again = clone(model).set_params(max_iter=best + 1).fit(X, y)
    assert again.validation_scores_ == scores[: best + 1]
    assert all((one == other).all() for one, other in zip(model.coefs_, again.coefs_, strict=True))
    X, y = DIABETES
    numbers = BackpulseRegressor(early_stopping=True, random_state=1).fit(X, y)
    assert 0.2 < numbers.best_validation_score_ == max(numbers.validation_scores_ or []) < 1


def test_a_fitted_one_holds_no_board():
    model = BackpulseClassifier(device="ecram", random_state=1).fit(*IRIS)
    assert not any(isinstance(value, Board) for value in vars(model).values())
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(IRIS[0]) == model.predict_proba(IRIS[0])).all()
    with pytest.raises(NotFittedError):
        clone(again).predict(IRIS[0])


def test_a_board_without_room_for_outputs_is_asked_sample_by_sample(monkeypatch):
    model = BackpulseClassifier(random_state=1).fit(*IRIS)
    with_ring = model.predict_proba(IRIS[0])
    monkeypatch.setattr(Board, "keeps_outputs", lambda *_: False)
    with pytest.warns(UserWarning, match="no ring that holds the outputs of a sample") as said:
        assert (model.predict_proba(IRIS[0]) == with_ring).all()
    assert len(said) == 1


def test_an_array_of_real_devices_answers_as_it_stands(monkeypatch):
    with real_board(PRESETS["ideal"]) as (board, _):

        @contextmanager
        def same(*_, **__):
            yield board

        monkeypatch.setattr(estimators, "open_board", same)
        model = BackpulseClassifier((6,), random_state=1, early_stopping=True, board="/dev/lab").fit(*IRIS)
        with pytest.warns(UserWarning, match="the array classifies as it stands"):
            assert model.score(*IRIS) > 0.85
        assert not hasattr(model, "coefs_")


def test_what_cannot_be_is_refused_in_a_sentence():
    X, y = IRIS
    for model, sentence in (
        (BackpulseClassifier(device="ecrm"), r"Unknown device ecrm \(did you mean ecram\?\)"),
        (BackpulseClassifier(activation="logistic"), "Unknown activation logistic"),
        (BackpulseClassifier((8, 0)), "Layer sizes must be positive"),
        (BackpulseClassifier(board="golden:"), "golden:"),
        (BackpulseRegressor(tile="a"), "A tile is rows x columns, as in 128x32, not a"),
        (BackpulseRegressor().set_params(max_iter=0.5), "The number of epochs must be a whole number, not 0.5"),
        (BackpulseRegressor(learning_rate_init=0.0), "The learning rate must be a positive number"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.fit(X, y)
    with pytest.raises(InputError, match="There is one class only, 0: there is nothing to learn"):
        BackpulseClassifier().fit(X[:50], y[:50])
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        BackpulseClassifier().fit(csr_array(X), y)
