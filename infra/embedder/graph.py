"""The int8 ONNX graph of all-MiniLM-L6-v2: BERT with 6 layers, 384 wide, 12 heads.

Why this shape and not `quantize_dynamic`'s. That one scales the activations of a whole batch by their one
largest value, so a text's vector moves with its neighbours (cosine down to .95 between a message alone and in
a batch of 16). Here every token has a scale of its own: vectors do not depend on the batch, and are closer to
the full model's (mean cosine .998 for short messages and .999 for regulation text, instead of .992 and .995), for
some 10 % more time.

- Linear layers: weights int8, one scale an output channel; activations divided by their token's largest
  magnitude, then uint8 with a fixed scale; the product goes back to float in `MatMulIntegerToFloat`.
- The value projection, where the error hurts most, is scaled in blocks of 32 on both sides (`MatMulNBits`).
- Gelu's output is at least -0.17, so it is lifted by 0.17 and uses all 8 bits; the bias takes the lift back.
- Full int8 range: on AVX2 without VNNI the int8 product can saturate. In emulation the mean cosine of the test
  texts is .9970 there (.9983 with VNNI, .9984 with SSE); weights of 7 bits would cost .0015 everywhere.
- Add and LayerNormalization stay apart: onnxruntime's fused SkipLayerNormalization is slower on CPU. So the
  stored graph is the one to run, and the session is opened without further optimisation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found]  # only in requirements.txt here

FloatArray = npt.NDArray[np.float32]
Weights = Mapping[str, FloatArray]

WIDTH, LAYERS, HEADS = 384, 6, 12
LAYER_NORM_EPSILON = 1e-12
_INT8_MAX = 127
_BLOCK = 32
_GELU_LIFT = np.float32(0.17)  # min gelu(x) = -0.16997
_CONTRIB = "com.microsoft"


def quantised_graph(weights: Weights) -> bytes:
    """Serialised ONNX model: int64 `input_ids`, `attention_mask` (batch, tokens) -> `last_hidden_state`.

    `last_hidden_state` is float32 (batch, tokens, 384); right-hand padding, marked 0 in the mask, does not
    change the states of the tokens before it. The same weights give the same bytes. Raises KeyError for a
    missing weight. Names of the weights: Hugging Face's BertModel.
    """
    return _GraphBuilder(weights).build()


class _GraphBuilder:
    """Collects nodes and constants; each method adds its nodes and returns the name of their output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []  # onnx.NodeProto: generated code without types
        self._constants: dict[str, Any] = {}  # onnx.TensorProto

    def build(self) -> bytes:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        states = self._embedding()
        mask = self._node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        for layer in range(LAYERS):
            states = self._layer(states, mask, layer)
        self._node("Identity", [states], "last_hidden_state")
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", WIDTH])
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, [output], list(self._constants.values()))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        return bytes(model.SerializeToString(deterministic=True))

    def _embedding(self) -> str:
        """Word (int8, one scale a word) + position + the one segment, normalised."""
        table, scale = _rows_to_int8(self._weights["embeddings.word_embeddings.weight"])
        rows = self._node("Gather", [self._constant("words", table), "input_ids"], "words.rows")
        scales = self._node("Gather", [self._constant("words.scale", scale), "input_ids"], "words.scales")
        words = self._node("Cast", [rows], "words.float", to=TensorProto.FLOAT)
        words = self._node("Mul", [words, scales], "words.value")
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._constant("positions", self._weights["embeddings.position_embeddings.weight"] + segment)
        start = self._constant("start", np.array([0], dtype=np.int64))
        width = self._node("Shape", ["input_ids"], "width", start=1, end=2)
        places = self._node("Slice", [positions, start, width, start], "places")
        return self._normalised_sum(words, places, "embeddings.LayerNorm")

    def _layer(self, states: str, mask: str, layer: int) -> str:
        prefix = f"encoder.layer.{layer}"
        attention = f"{prefix}.attention"
        quantised = self._quantised(states)
        query = self._linear(quantised, f"{attention}.self.query")
        key = self._linear(quantised, f"{attention}.self.key")
        value = self._linear_in_blocks(states, f"{attention}.self.value")
        context = self._node(
            "MultiHeadAttention", [query, key, value, "", mask], f"{attention}.context", _CONTRIB, num_heads=HEADS
        )
        attended = self._linear(self._quantised(context), f"{attention}.output.dense")
        states = self._normalised_sum(attended, states, f"{attention}.output.LayerNorm")
        inner = self._linear(self._quantised(states), f"{prefix}.intermediate.dense")
        inner = self._node("Gelu", [inner], f"{prefix}.gelu", _CONTRIB)
        outer = self._linear(self._quantised(inner, lifted=True), f"{prefix}.output.dense", lifted=True)
        return self._normalised_sum(outer, states, f"{prefix}.output.LayerNorm")

    def _quantised(self, states: str, *, lifted: bool = False) -> tuple[str, str]:
        """uint8 form of `states` (batch, tokens, channels), and its float32 scale (batch, tokens, 1)."""
        if lifted:
            lift = self._constant("gelu.lift", np.array([_GELU_LIFT]))
            magnitudes = states = self._node("Add", [states, lift], f"{states}.lifted")
        else:
            magnitudes = self._node("Abs", [states], f"{states}.magnitudes")
        channel_axis = self._constant("channel_axis", np.array([-1], dtype=np.int64))
        largest = self._node("ReduceMax", [magnitudes, channel_axis], f"{states}.largest", keepdims=1)
        relative = self._node("Div", [states, largest], f"{states}.relative")
        codes = self._node("QuantizeLinear", [relative, *self._activation_code(lifted)], f"{states}.codes")
        return codes, largest

    def _activation_code(self, lifted: bool) -> list[str]:
        """Scale and zero point of activations: [0, 1] on 0..255 when lifted, else [-1, 1] on 1..255."""
        steps, zero = (255, 0) if lifted else (_INT8_MAX, 128)
        scale = self._constant(f"code.scale.{steps}", np.float32(1 / steps))
        return [scale, self._constant(f"code.zero.{steps}", np.uint8(zero))]

    def _linear(self, quantised: tuple[str, str], name: str, *, lifted: bool = False) -> str:
        codes, token_scale = quantised
        matrix, channel_scale = _rows_to_int8(self._weights[f"{name}.weight"])
        bias = self._weights[f"{name}.bias"]
        if lifted:
            bias = bias - _GELU_LIFT * (matrix.astype(np.float32) * channel_scale).sum(axis=1)
        scale, zero = self._activation_code(lifted)
        inputs = [
            codes,
            self._constant(f"{name}.weight", matrix.T),
            scale,
            self._constant(f"{name}.scale", channel_scale[:, 0]),
            zero,
            self._constant(f"{name}.zero", np.zeros(len(matrix), dtype=np.int8)),
        ]
        product = self._node("MatMulIntegerToFloat", inputs, f"{name}.product", _CONTRIB)
        scaled = self._node("Mul", [product, token_scale], f"{name}.scaled")
        return self._node("Add", [scaled, self._constant(f"{name}.bias", bias)], f"{name}.out")

    def _linear_in_blocks(self, states: str, name: str) -> str:
        weight = self._weights[f"{name}.weight"]
        channels, width = weight.shape
        codes, scales = _rows_to_int8(weight.reshape(-1, _BLOCK))
        unsigned = (codes.astype(np.int16) + 128).astype(np.uint8)  # the operator's zero point
        matrix = self._constant(f"{name}.weight", unsigned.reshape(channels, width // _BLOCK, _BLOCK))
        scale = self._constant(f"{name}.scale", scales.reshape(-1))
        bias = self._constant(f"{name}.bias", self._weights[f"{name}.bias"])
        shape = {"K": width, "N": channels, "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}  # 4: int8
        inputs = [states, matrix, scale, "", "", bias]
        return self._node("MatMulNBits", inputs, f"{name}.out", _CONTRIB, **shape)

    def _normalised_sum(self, left: str, right: str, name: str) -> str:
        inputs = [
            self._node("Add", [left, right], f"{name}.sum"),
            self._constant(f"{name}.weight", self._weights[f"{name}.weight"]),
            self._constant(f"{name}.bias", self._weights[f"{name}.bias"]),
        ]
        return self._node("LayerNormalization", inputs, f"{name}.out", epsilon=LAYER_NORM_EPSILON)

    def _constant(self, name: str, value: npt.NDArray[Any] | np.generic) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def _node(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: object) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output


def _rows_to_int8(matrix: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Symmetric int8 codes in -127..127 and their scales, shape (rows, 1): matrix is about codes * scales."""
    scales = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(_INT8_MAX)
    return np.rint(matrix / scales).astype(np.int8), scales
