"""`python -m tests.benchmarks.arithmetic`: both directions of the bundled LSTM in float32, bfloat16 and ONNX Runtime.

Alternates them in one run, one thread each, best of several. ONNX Runtime is measured where it is installed:
`pip install onnx onnxruntime`; Hamlet itself does not use it.
"""

from classifier.threads import limit_threads

limit_threads(1)  # before torch loads

import copy
import importlib.util
import os
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from classifier.artifact import active_folder, bundled_models
from classifier.network import SpamNetwork
from classifier.pipeline import SpamClassifier

SHAPES = ((1, 256), (8, 256), (32, 256), (64, 256), (32, 64))  # windows, tokens of each
ROUNDS = 7

Read = Callable[[torch.Tensor], object]
Weights = npt.NDArray[np.float32]


def main() -> None:
    """Measure and print the table."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    network = SpamClassifier.load(active_folder(bundled_models())).network.deep
    ways: dict[str, Read] = {"float32": torch_way(network)}
    half = copy.deepcopy(network)
    half.to_bfloat16()
    ways["bfloat16"] = torch_way(half)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        ways["ONNX Runtime, float32"] = onnx_way(network)
    print("| windows x tokens | " + " | ".join(f"{name}, ms" for name in ways) + " |\n|---|" + "---|" * len(ways))
    for windows, tokens in SHAPES:
        token_ids_WT = torch.randint(1, network.config.vocabulary_size, (windows, tokens))
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for name, read in ways.items():
                started = time.perf_counter()
                read(token_ids_WT)
                best[name] = min(best[name], time.perf_counter() - started)
        print(f"| {windows} x {tokens} | " + " | ".join(f"{1000 * seconds:.2f}" for seconds in best.values()) + " |")


def torch_way(network: SpamNetwork) -> Read:
    """Return what looks up the embedding and runs both directions, as SpamNetwork does."""

    def read(token_ids_WT: torch.Tensor) -> object:
        with torch.inference_mode():
            forwards_WTH, _ = network.forwards(network.embedding(token_ids_WT))
            backwards_WTH, _ = network.backwards(network.embedding(token_ids_WT.flip(1)))
        return forwards_WTH, backwards_WTH

    return read


def onnx_way(network: SpamNetwork) -> Read:
    """Return the same as one ONNX graph; raises AssertionError unless its states are those of torch."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def gates(weights: torch.Tensor) -> Weights:  # torch has them as i, f, c, o; ONNX as i, o, f, c
        i, f, c, o = np.split(weights.numpy(), 4)
        return np.concatenate([i, o, f, c])

    stacked: dict[str, list[Weights]] = {"W": [], "R": [], "B": []}
    for layer in (network.forwards, network.backwards):
        rows = layer.state_dict()
        stacked["W"].append(gates(rows["weight_ih_l0"]))
        stacked["R"].append(gates(rows["weight_hh_l0"]))
        stacked["B"].append(np.concatenate([gates(rows["bias_ih_l0"]), gates(rows["bias_hh_l0"])]))
    tables = {"E": network.embedding.weight.numpy(), **{name: np.stack(both) for name, both in stacked.items()}}
    width = network.config.hidden_width
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["E", "ids_TW"], ["x"]),
            helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=width, direction="bidirectional"),
        ],
        "lstm",
        [helper.make_tensor_value_info("ids_TW", TensorProto.INT64, ["T", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", 2, "W", width])],
        [numpy_helper.from_array(table, name) for name, table in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def read(token_ids_WT: torch.Tensor) -> object:
        return session.run(None, {"ids_TW": np.ascontiguousarray(token_ids_WT.T.numpy())})

    token_ids_WT = torch.randint(1, network.config.vocabulary_size, (4, 16))
    with torch.inference_mode():
        expected_WTH, _ = network.forwards(network.embedding(token_ids_WT))
    found_T2WH = session.run(None, {"ids_TW": np.ascontiguousarray(token_ids_WT.T.numpy())})[0]
    assert np.allclose(found_T2WH[:, 0].transpose(1, 0, 2), expected_WTH.numpy(), atol=1e-5)
    return read


if __name__ == "__main__":
    main()
