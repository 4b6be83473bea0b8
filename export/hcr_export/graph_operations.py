"""Which operations a graph may hold that nobody has vouched for: those that only compute.

TensorFlow's operations also read and write files, print to them, call Python and talk to other
machines; what can be run in a SavedModel therefore has to be on a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hcr_runtime import ModelError

GRAPH_FILE = "saved_model.pb"
# TensorFlow reads this one first where both are there.
_SPLIT_GRAPH_FILE = "saved_model.cpb"
_HINT = "--allow-unsafe runs it all the same, if you trust its author"
# Names as in tf.raw_ops. Random ones are pure: what answers differently each time is told later.
_NAMES = """
    Const Placeholder PlaceholderWithDefault Identity IdentityN NoOp StopGradient PreventGradient
    Snapshot EnsureShape Assert Cast Bitcast _Arg _Retval
    PartitionedCall StatefulPartitionedCall If StatelessIf Case StatelessCase While StatelessWhile
    Switch Merge Enter Exit NextIteration LoopCond RefSwitch ControlTrigger

    VarHandleOp ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp
    VarIsInitializedOp VariableShape DisableCopyOnRead ResourceGather DestroyResourceOp

    Abs Neg Sign Square Sqrt Rsqrt Reciprocal Inv Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan
    Atan2 Sinh Cosh Tanh Asinh Acosh Atanh Erf Erfc Erfinv Ndtri Lgamma Digamma Floor Ceil Round
    Rint IsNan IsInf IsFinite LogicalAnd LogicalOr LogicalNot Invert
    Add AddV2 AddN AccumulateNV2 Sub Mul MulNoNan Div DivNoNan RealDiv TruncateDiv FloorDiv Mod
    FloorMod TruncateMod Pow Xdivy Xlogy Xlog1py Maximum Minimum SquaredDifference ClipByValue
    BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift
    Equal NotEqual ApproximateEqual Greater GreaterEqual Less LessEqual Select SelectV2 Where
    Sum Mean Prod Max Min All Any ArgMax ArgMin EuclideanNorm L2Loss Cumsum Cumprod
    UnsortedSegmentSum UnsortedSegmentMax UnsortedSegmentMin SegmentSum SegmentMean SegmentMax
    TopK TopKV2 InTopK InTopKV2 Bincount DenseBincount HistogramFixedWidth Unique UniqueV2

    MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum Cross MatrixDiag MatrixDiagV2
    MatrixDiagV3 MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixBandPart MatrixTranspose
    MatrixInverse MatrixSolve MatrixDeterminant Diag DiagPart
    BiasAdd BiasAddV1 Conv Conv2D Conv2DBackpropInput Conv3D DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropInput Dilation2D AvgPool AvgPool3D MaxPool MaxPoolV2 MaxPool3D
    MaxPoolWithArgmax FractionalMaxPool FractionalAvgPool FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 LRN BatchNormWithGlobalNormalization
    Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Softmax LogSoftmax Sigmoid
    SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4

    Reshape Squeeze ExpandDims Transpose ConjugateTranspose Pack Unpack ParallelConcat Concat
    ConcatV2 ConcatOffset Split SplitV Slice StridedSlice Tile Pad PadV2 MirrorPad Reverse
    ReverseV2 ReverseSequence Gather GatherV2 GatherNd ScatterNd TensorScatterUpdate
    TensorScatterAdd TensorScatterSub TensorScatterMax TensorScatterMin OneHot Roll
    InvertPermutation BroadcastTo BroadcastArgs BroadcastGradientArgs Fill ZerosLike OnesLike
    Shape ShapeN Size Rank Range LinSpace SpaceToBatch SpaceToBatchND BatchToSpace BatchToSpaceND
    SpaceToDepth DepthToSpace DynamicPartition DynamicStitch ParallelDynamicStitch
    ExtractImagePatches LowerBound UpperBound SearchSorted Bucketize
    EmptyTensorList TensorListReserve TensorListFromTensor TensorListStack TensorListGetItem
    TensorListSetItem TensorListPushBack TensorListPopBack TensorListLength TensorListConcat
    TensorListConcatV2 TensorListElementShape TensorListGather TensorListResize

    ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea ScaleAndTranslate CropAndResize
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 AdjustContrast AdjustContrastv2
    AdjustHue AdjustSaturation RGBToHSV HSVToRGB ExtractGlimpse ExtractGlimpseV2
    FFT FFT2D IFFT IFFT2D RFFT RFFT2D IRFFT IRFFT2D Complex Real Imag ComplexAbs Angle Conj

    RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal RandomShuffle
    StatelessRandomUniform StatelessRandomUniformV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2
    StatelessRandomNormal StatelessRandomNormalV2 StatelessTruncatedNormal
    StatelessTruncatedNormalV2 StatelessRandomGetKeyCounter StatelessRandomGetAlg
    StatelessRandomGetKeyCounterAlg StatelessShuffle RngReadAndSkip RngSkip StatefulUniform
    StatefulUniformInt StatefulUniformFullInt StatefulStandardNormalV2 StatefulTruncatedNormal
"""
_COMPUTING = frozenset(_NAMES.split())


def check_graph(folder: Path) -> None:
    """Refuse a SavedModel that can do more than compute.

    Looked at are all functions that loading or calling it can reach; those that save and restore
    it are never called: TensorFlow reads the numbers itself.

    Raises:
        ModelError: It is damaged, or holds another operation.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    if (folder / _SPLIT_GRAPH_FILE).exists():
        raise ModelError(f"{folder.name} holds a {_SPLIT_GRAPH_FILE}", allowed=GRAPH_FILE)
    saved = SavedModel()
    try:
        saved.ParseFromString((folder / GRAPH_FILE).read_bytes())
    except Exception as error:  # protobuf's own error, by implementation
        raise ModelError(f"{folder.name} is a damaged SavedModel ({GRAPH_FILE})") from error
    operations = {node.op for graph in saved.meta_graphs for node in _reachable(saved, graph)}
    if found := sorted(operations - _COMPUTING):
        raise ModelError(
            f"the graph in {folder.name} holds operations that are not known only to compute"
            f" ({', '.join(found[:5])})",
            allowed="what classifiers of images are made of; no files, no Python, no text",
            hint=_HINT,
        )


def _reachable(saved: Any, graph: Any) -> Iterable[Any]:
    """The nodes of a graph that loading or calling it can run."""
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    nodes: list[Any] = []
    if len(saved.meta_graphs) == 1 and graph.HasField("object_graph_def"):
        names = set(graph.object_graph_def.concrete_functions)
        # TensorFlow may put these in the place of others.
        names |= {name for name, f in functions.items() if "api_implements" in f.attr}
    else:  # of TensorFlow 1: loading runs the graph itself
        nodes += graph.graph_def.node
        names = {name for node in nodes for name in _called(node)}
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in seen:
            seen.add(name)
            nodes += functions[name].node_def
            waiting += (inner for node in functions[name].node_def for inner in _called(node))
    return nodes


def _called(node: Any) -> list[str]:
    """Names of the functions that a node calls."""
    values = node.attr.values()
    named = [value.func.name for value in values if value.HasField("func")]
    # An operation of a function's name calls it.
    return [node.op, *named, *(f.name for value in values for f in value.list.func)]
