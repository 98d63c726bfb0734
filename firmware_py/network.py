"""A multilayer network as a person describes it."""

from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.isa import SCALE_LOG2_MAX
from backpulse.firmware_py.streams import draws

HIDDEN = ("sigmoid", "tanh", "relu")
"""Functions of hidden layers."""
OUTPUTS = ("sigmoid", "tanh", "linear")
"""Functions of the last layer."""
LOSSES = ("squared", "cross-entropy")
"""Losses: squared error, and cross-entropy with one logistic per output."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Layer sizes, functions, bias and scales of a network.

    Raises
    ------
    ValueError
        If the description is no network; the message says what to change.
    """

    layers: tuple[int, ...]
    """Inputs, hidden sizes, outputs."""
    activation: str = "sigmoid"
    """Function of the hidden layers: sigmoid, tanh, relu (clipped at the unit)."""
    output: str = "sigmoid"
    """Function of the last layer: sigmoid, tanh or linear."""
    loss: str = "squared"
    """squared, or cross-entropy (output sigmoid only)."""
    bias: bool = True
    """Whether each layer has one more input line at the constant unit."""
    weight_scale: int = 4
    """Logical weight of one device unit, a power of two."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if len(self.layers) < 2:
            raise ValueError(f"A network needs at least an input and an output size, as in 64-32-10, not {self.brief}")
        for size in self.layers:
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"Layer sizes must be positive integers, not {size!r} in {self.brief}")
        if self.activation not in HIDDEN:
            raise ValueError(f"Unknown activation {self.activation!r}; choose one of {', '.join(HIDDEN)}")
        if self.output == "relu":
            raise ValueError(f"An output unit of relu stops for good where it is flat; choose one of {', '.join(OUTPUTS)}")
        if self.output not in OUTPUTS:
            raise ValueError(f"Unknown output function {self.output!r}; choose one of {', '.join(OUTPUTS)}")
        if self.loss not in LOSSES:
            raise ValueError(f"Unknown loss {self.loss!r}; choose one of {', '.join(LOSSES)}")
        if self.loss == "cross-entropy" and self.output != "sigmoid":
            raise ValueError(f"Cross-entropy needs the output function sigmoid, not {self.output}")
        scales = [1 << k for k in range(SCALE_LOG2_MAX + 1)]
        if self.weight_scale not in scales:
            raise ValueError(f"weight_scale must be one of {', '.join(map(str, scales))}, not {self.weight_scale}")

    @classmethod
    def parse(cls, layers: str, **rest: object) -> "Network":
        """Build a network from a text such as 64-32-10.

        Raises
        ------
        ValueError
            If the text has anything but numbers and dashes.
        """
        try:
            sizes = tuple(int(part) for part in layers.split("-"))
        except ValueError:
            raise ValueError(f"Layers must be numbers joined by dashes, as in 64-32-10, not {layers!r:.80}") from None
        return cls(layers=sizes, **rest)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The sizes joined by dashes."""
        return "-".join(map(str, self.layers))

    @property
    def brief(self) -> str:
        """The same for sentences, where very many layers are cut short."""
        return self.text if len(self.text) <= 80 else f"{self.text[:40]}...{self.text[-20:]} ({self.depth} layers)"

    @property
    def depth(self) -> int:
        """Number of weight layers."""
        return len(self.layers) - 1

    @property
    def scale_log2(self) -> int:
        """log2 of weight_scale."""
        return self.weight_scale.bit_length() - 1

    def inputs(self, layer: int) -> int:
        """Return the input lines of weight layer 1 .. depth, the bias among them."""
        return self.layers[layer - 1] + int(self.bias)

    @property
    def weights(self) -> int:
        """Weights of all layers, those of the bias among them."""
        return sum(self.inputs(layer) * self.layers[layer] for layer in range(1, self.depth + 1))

    def function(self, layer: int) -> str:
        """Return the name of the function behind weight layer 1 .. depth."""
        return self.output if layer == self.depth else self.activation

    def initial_weights(self, seed: int) -> list[np.ndarray]:
        """Return the starting weights, uniform in +-sqrt(6 / (inputs + outputs)), bias zero (Glorot, Bengio, AISTATS 2010).

        Returns
        -------
        list of float64 arrays of shape (outputs, inputs with the bias last), the same on every computer.
        """
        weights = []
        for layer in range(1, self.depth + 1):
            n_in, n_out = self.layers[layer - 1], self.layers[layer]
            limit = (6.0 / (n_in + n_out)) ** 0.5
            uniform = draws(n_in * n_out, seed, 0x1417, layer).reshape(n_out, n_in) / 2.0**31 - 1.0
            weight = uniform * limit
            if self.bias:
                weight = np.hstack([weight, np.zeros((n_out, 1))])
            weights.append(weight)
        return weights
