"""Estimators for scikit-learn: networks that are trained inside an array, on any board.

What a fitted one knows is a checkpoint in memory; a board is open only while it fits or predicts.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import DEFAULT
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import Dataset, validation_of
from backpulse.host.errors import InputError
from backpulse.host.features import Features
from backpulse.host.inference import classes_of, load_network, outputs_of
from backpulse.host.scaling import SAMPLE_ONE, Scaler
from backpulse.host.settings import Prepared, Settings
from backpulse.host.tile import is_exact
from backpulse.host.training import Trainer
from backpulse.host.urls import TILE, Address, board_config, open_board
from backpulse.host.weights import weights_of

NAME = "X"
"""What messages call the data."""


class _Estimator(BaseEstimator):
    """What both estimators are."""

    _fixed: dict[str, Any]
    """Settings that are no parameters."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (32,),
        *,
        activation: str = "sigmoid",
        learning_rate_init: float = 0.1,
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        schedule: str = DEFAULT_SCHEDULE,
        device: str = "ideal",
        weight_scale: int | None = None,
        board: str = "golden://",
        tile: str = TILE,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.schedule = schedule
        self.device = device
        self.weight_scale = weight_scale
        self.board = board
        self.tile = tile

    def _begin(self, X: np.ndarray, outputs: int) -> None:
        """Forget what was learned, and begin the random numbers anew."""
        self._scaler = Scaler.fit(X, image=False)
        self._random = check_random_state(self.random_state)
        self._rest: Checkpoint | None = None
        self.n_outputs_ = outputs
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None

    def _settings(self, inputs: int, validation: float) -> Settings:
        """Return the settings of the next run. The seed of a first one is a whole `random_state` itself, as in `backpulse train`."""
        hidden = np.ravel(np.asarray(self.hidden_layer_sizes, object)).tolist()
        own = self._rest is None and isinstance(self.random_state, Integral)
        return Settings(
            layers="-".join(map(str, (inputs, *hidden, self.n_outputs_))),
            activation=self.activation,
            lr=float(self.learning_rate_init),
            schedule=self.schedule,
            device=self.device,
            seed=int(self.random_state) if own else int(self._random.randint(1 << 31)),
            validation=validation,
            dataset=NAME,
            **({} if self.weight_scale is None else {"weight_scale": self.weight_scale}),
            **self._fixed,
        )

    def _train(self, X: np.ndarray, y: np.ndarray, t: np.ndarray, labels: Sequence[str], *, once: bool) -> None:
        """Train for an epoch, or until nothing gets better; `y` are class numbers, and `t` targets in -1 to 1, (samples, outputs)."""
        validates = self.early_stopping and not once
        settings = self._settings(X.shape[1], float(self.validation_fraction) if validates else 0.0)
        address = Address.of(self.board)
        config = DEFAULT  # of a real board: it says itself what it is
        if address.virtual:
            config = board_config(settings.network, settings.device_model, tile=self.tile, array=address.array)
        with open_board(address, config=config) as board:
            unit = board.config.drive_max
            train, validation = validation_of(NAME, y, np.arange(len(y)), settings.validation, settings.seed)
            data = Prepared(
                x=self._scaler.to_bytes(X, unit),
                t=np.rint(t * unit).astype(np.int8),
                y=y,
                train=train,
                validation=validation,
                test=np.zeros(0, np.int64),
                scaler=self._scaler,
                digest=Dataset(name=NAME, x=X, y=y, labels=labels, image=False).digest,
                features=Features.plain(X.shape[1], labels),
            )
            epochs = 1 if once else self.max_iter
            before = self._rest.onto(settings, epochs, data) if self._rest else None
            trainer = Trainer(board, settings, epochs, data=data, checkpoint=before)
            if validates:
                self.validation_scores_ = self.validation_scores_ or []
            self._rest = self._epochs(trainer, once=once) or trainer.checkpoint()
            if self._rest.cells is not None:
                weights = weights_of(trainer.program, self._rest.cells).unscaled(self._scaler, unit)
                self._keep(weights.layers, unit)

    def _epochs(self, trainer: Trainer, *, once: bool) -> Checkpoint | None:
        """Do the epochs; return the best of them where a validation part chooses one and the board can go back to it."""
        position, scores = trainer.position, None if once else self.validation_scores_
        best, waited, chosen = -np.inf, 0, None
        while not trainer.complete:
            trainer.epoch()
            self.n_iter_ += 1
            self.t_ += len(trainer.data.train)
            self.loss_ = position.train_loss[-1]
            self.loss_curve_.append(self.loss_)
            score = -self.loss_
            if scores is not None:
                score = self._validation_score(trainer)
                scores.append(score)
            waited = 0 if score > best + self.tol else waited + 1
            if score > best and scores is not None and is_exact(trainer.board.facts):
                chosen = trainer.checkpoint()
            best = max(best, score)
            if waited > self.n_iter_no_change:
                break
        else:
            if not once:
                said = f"The {trainer.epochs} epochs of max_iter are over, and it still gets better: give more, or another rate"
                warnings.warn(said, ConvergenceWarning, stacklevel=5)
        self.best_loss_ = min(self.loss_curve_)
        if scores:
            self.best_validation_score_ = max(scores)
        return chosen

    def _validation_score(self, trainer: Trainer) -> float:
        """Return how good the last epoch was on the validation part: what `score` says, at the resolution of the targets."""
        raise NotImplementedError

    def _keep(self, layers: Sequence[tuple[np.ndarray, np.ndarray]], unit: int) -> None:
        """Keep the weights for the data as it is; `unit` is the largest drive word."""
        self.coefs_, self.intercepts_ = ([pair[k] for pair in layers] for k in (0, 1))
        self.n_layers_ = len(layers) + 1

    @contextmanager
    def _asked(self, X: Any) -> Iterator[tuple[Board, Checkpoint, np.ndarray]]:
        """Open a board with the fitted network, and scale samples for it."""
        check_is_fitted(self, "n_iter_")
        saved = self._rest
        assert saved is not None
        drives = saved.scaler.to_bytes(np.asarray(validate_data(self, X, dtype=np.float64, reset=False)), saved.config.drive_max)
        with open_board(self.board, config=saved.config) as board:
            load_network(board, saved, _warn)
            yield board, saved, drives

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the outputs for samples, 1 the unit, which is the largest target: float64 of shape (samples, outputs)."""
        with self._asked(X) as (board, saved, drives):
            return outputs_of(board, saved, drives, np.arange(len(drives)), _warn) / saved.config.unit


class BackpulseClassifier(ClassifierMixin, _Estimator):
    """A classifier that is trained inside an array of analog memory: one logistic unit for each class, cross-entropy.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers.
    activation : {'sigmoid', 'tanh', 'relu'}
        Of the hidden layers; relu is clipped at the unit.
    learning_rate_init : float
        Learning rate, constant.
    max_iter : int
        Most epochs.
    tol, n_iter_no_change : float, int
        Training ends when in more than so many epochs the loss, or with `early_stopping` the score, has not got better by `tol`.
    early_stopping, validation_fraction : bool, float
        Whether to set a share of the samples aside, of each class alike, whose accuracy ends the training; the array goes back to the
        best epoch where its cells can be written.
    warm_start : bool
        Whether `fit` goes on from what was learned before: same cells, devices and scaling.
    random_state : int, RandomState instance or None
        Of initial weights, sample order and the array's random streams; an int is the seed of `backpulse train`.
    schedule, device, weight_scale : str, str, int or None
        As the settings of a run (`Settings`); without a weight scale it is 4, or what a device file was fitted for.
    board : str
        URL of the board that it is trained on, and asked (`open_board`).
    tile : str
        Rows x columns of one tile of a golden or virtual board.

    Attributes
    ----------
    classes_ : ndarray
        The classes.
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, units) and intercepts (units,) of each layer, for the data as it is; absent after training real devices, whose
        weights nobody can read. Changing them changes nothing: what `predict` asks is the array.
    loss_curve_, loss_, best_loss_ : list of float, float, float
        Mean of 0.5 * sum((t - a)**2) in each epoch, which is what the machine counts; of the last and the best one.
    validation_scores_, best_validation_score_ : list of float or None, float
        With `early_stopping`.
    n_iter_, t_ : int
        Epochs and samples trained.
    n_layers_, n_outputs_, n_features_in_ : int
        Layers with the input layer, their outputs and inputs.

    Raises
    ------
    InputError
        From `fit`, which is a ValueError: if a parameter, the data or the board is not what it may be.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BackpulseClassifier(random_state=1).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _fixed = {"output": "sigmoid", "loss": "cross-entropy"}  # noqa: RUF012 - nobody changes it

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples, (samples, inputs), and their classes, (samples,)."""
        X, y = self._checked(X, y, reset=True)
        if not (self.warm_start and hasattr(self, "classes_")):
            self._classes(X, np.unique(y))
        self._learn(X, y, once=False)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train one epoch on some samples; `classes` are all there will ever be, and must be given the first time."""
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise InputError("The first partial_fit needs all classes: give classes")
        X, y = self._checked(X, y, reset=first)
        if first:
            self._classes(X, np.unique(column_or_1d(classes)))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise InputError(f"classes must be those of the first partial_fit, {_some(self.classes_)}, not {_some(np.unique(classes))}")
        self._learn(X, y, once=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each sample."""
        with self._asked(X) as (board, saved, drives):
            return self.classes_[classes_of(board, saved, drives, np.arange(len(drives)))]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return shares of the classes for each sample, (samples, classes): the outputs, divided by their sum.

        Each output alone estimates how likely its class is against all others; the shares are no calibrated probabilities. A board
        without room for outputs is asked sample by sample, one round trip each, which a warning says.
        """
        outputs = np.maximum(self._outputs(X), 0.0)
        outputs[outputs.sum(axis=1) == 0] = 1.0
        return outputs / outputs.sum(axis=1, keepdims=True)

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, dtype=np.float64, reset=reset)
        check_classification_targets(y)
        return X, y

    def _classes(self, X: np.ndarray, classes: np.ndarray) -> None:
        if len(classes) < 2:
            raise InputError(f"There is one class only, {_some(classes)}: there is nothing to learn; give samples of another")
        self._begin(X, len(classes))
        self.classes_ = classes

    def _learn(self, X: np.ndarray, y: np.ndarray, *, once: bool) -> None:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InputError(f"y has {_some(unknown)}, which is none of the classes {_some(self.classes_)}: fit anew without warm_start")
        numbers = np.searchsorted(self.classes_, y)
        self._train(X, numbers, np.eye(len(self.classes_))[numbers], [str(name) for name in self.classes_], once=once)
        self.out_activation_ = "sigmoid"

    def _validation_score(self, trainer: Trainer) -> float:
        return trainer.position.validation_accuracy[-1]


class BackpulseRegressor(RegressorMixin, _Estimator):
    """A regressor that is trained inside an array of analog memory: linear outputs, squared error.

    Targets are scaled to the range of the first fit, in steps of 1/254 of it; later ones beyond it count as its end.

    Parameters
    ----------
    hidden_layer_sizes, activation, learning_rate_init, max_iter, tol, n_iter_no_change, early_stopping, validation_fraction, \
    warm_start, random_state, schedule, device, weight_scale, board, tile
        As of `BackpulseClassifier`; what a validation part tells is R2.

    Attributes
    ----------
    coefs_, intercepts_, loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, n_layers_, \
    n_outputs_, n_features_in_
        As of `BackpulseClassifier`. The loss is that of targets scaled to -1 to 1.

    Raises
    ------
    InputError
        From `fit`, which is a ValueError: if a parameter, the data or the board is not what it may be.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> model = BackpulseRegressor(activation="tanh", random_state=1).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(model.score(X, np.sin(3 * X[:, 0])) > 0.9)
    True
    """

    _fixed = {"output": "linear", "loss": "squared"}  # noqa: RUF012 - nobody changes it

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples, (samples, inputs), and their numbers, (samples,) or (samples, outputs)."""
        return self._learn(X, y, anew=not (self.warm_start and hasattr(self, "n_iter_")), once=False)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Train one epoch on some samples; the first ones say what range inputs and targets have."""
        return self._learn(X, y, anew=not hasattr(self, "n_iter_"), once=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers for each sample, of the shape that `y` had."""
        y = self._outputs(X) * self._half + self._center
        return y[:, 0] if self._flat else y

    def _learn(self, X: Any, y: Any, *, anew: bool, once: bool) -> Self:
        X, y = validate_data(self, X, y, dtype=np.float64, reset=anew, multi_output=True, y_numeric=True)
        flat = y.ndim == 1 or y.shape[1] == 1
        y = column_or_1d(y, warn=True).reshape(-1, 1) if flat else y
        y = y.astype(np.float64)
        if anew:
            self._begin(X, y.shape[1])
            self._flat = flat
            self._center = (y.min(axis=0) + y.max(axis=0)) / 2
            half = (y.max(axis=0) - y.min(axis=0)) / 2
            self._half = np.where(half > 0, half, 1.0)
            self.out_activation_ = "identity"
        elif y.shape[1] != self.n_outputs_:
            raise InputError(f"y has {y.shape[1]} outputs, and the first fit had {self.n_outputs_}: give as many, or fit anew")
        t = np.clip((y - self._center) / self._half, -1, 1)
        self._variance = float(t.var(axis=0).sum())
        self._train(X, np.zeros(len(t), np.int64), t, ["0", "1"], once=once)
        return self

    def _keep(self, layers: Sequence[tuple[np.ndarray, np.ndarray]], unit: int) -> None:
        weight, bias = layers[-1]
        gain = SAMPLE_ONE / unit * self._half
        super()._keep([*layers[:-1], (weight * gain, bias * gain + self._center)], unit)

    def _validation_score(self, trainer: Trainer) -> float:
        scale = (trainer.board.config.drive_max / SAMPLE_ONE) ** 2
        return 1.0 - 2 * trainer.position.validation_loss[-1] / (scale * max(self._variance, 1e-12))

    def __sklearn_tags__(self) -> Any:
        """Say that it takes several outputs."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)


def _some(classes: np.ndarray) -> str:
    names = [str(name) for name in classes[:8]]
    return ", ".join(names) + (f" and {len(classes) - 8} more" if len(classes) > 8 else "")
