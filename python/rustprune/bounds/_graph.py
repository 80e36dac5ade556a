"""The graph of a torch model, as `torch.fx` traces it, as a network to certify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from rustprune.bounds._rules import Builder, Value, applied
from rustprune.bounds._steps import Graph, Map
from rustprune.bounds._torch import kind_of

if TYPE_CHECKING:
    import torch
    from torch.fx import Node

Call: TypeAlias = Callable[..., object]

# By name, the functions and methods that are modules of torch too, with the same arguments in order.
MODULES = {
    "adaptive_avg_pool1d": "AdaptiveAvgPool1d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "avg_pool1d": "AvgPool1d",
    "avg_pool2d": "AvgPool2d",
    "dropout": "Dropout",
    "elu": "ELU",
    "gelu": "GELU",
    "hardswish": "Hardswish",
    "hardtanh": "Hardtanh",
    "leaky_relu": "LeakyReLU",
    "log_softmax": "LogSoftmax",
    "max_pool1d": "MaxPool1d",
    "max_pool2d": "MaxPool2d",
    "mish": "Mish",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softmax": "Softmax",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
COPYING = (
    "clone",
    "contiguous",
    "flatten",
    "movedim",
    "permute",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reshape",
    "squeeze",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
)
ADDING = ("add", "iadd", "add_")
JOINING = ("cat", "concat", "concatenate")
ASKING = ("dim", "getattr", "size")


def graph_of_model(
    model: torch.nn.Module, masks: Mapping[str, object], input_shape: tuple[int, ...] | None
) -> Graph:
    """Return the layers of a torch model (6.12 and 6.14 of the theory page).

    Raises
    ------
    ValueError
        If something of it has no rule, which is named.
    """
    walk = Walk(model, masks)
    graph = walk.graph(input_shape)
    if unknown := {*masks} - walk.builder.names:
        raise ValueError(f"masks: expected names of the model's weights, got {sorted(unknown)}")
    if not walk.builder.names:
        raise ValueError("model: expected one layer with weights or more, got none")
    return graph


class Walk:
    """One pass over the nodes of a graph, in the order of their application."""

    def __init__(self, model: torch.nn.Module, masks: Mapping[str, object]) -> None:
        import torch.fx

        self.builder = Builder(masks)
        self.versions: dict[int, int] = {}
        self.writes = False
        self.prefix = ""
        tracer = torch.fx.Tracer()
        if tracer.is_leaf_module(model, ""):
            # What is no container has no graph of its own.
            self.prefix, model = "0", torch.nn.Sequential(model)
        self.modules = dict(model.named_modules())
        try:
            self.nodes = [*tracer.trace(model).nodes]
        except Exception as error:
            raise ValueError(f"model: expected what torch.fx can trace: {error}") from error

    def graph(self, input_shape: tuple[int, ...] | None) -> Graph:
        """Return the layers."""
        shape = tuple(input_shape or self.input_shape())
        start = Value(0, shape, single=False, storage=0)
        found: dict[Node, object] = {}
        for node in self.nodes:
            if node.op == "placeholder":
                if found:
                    raise ValueError(f"model: expected one input, got {node.name} too")
                found[node] = start
                continue
            arguments = [self.fresh(node, argument, found) for argument in node.args]
            words = {word: self.fresh(node, it, found) for word, it in node.kwargs.items()}
            if node.op == "output":
                return self.finished(arguments[0], start)
            result = self.value(node, arguments, words)
            found[node] = self.settled(node, arguments, result)
        raise ValueError("model: expected an output")

    def fresh(self, node: Node, argument: object, found: Mapping[Node, object]) -> object:
        """Return what stands for an argument, unless it was overwritten since it was made."""
        from torch.fx import Node

        if isinstance(argument, list | tuple):
            return [self.fresh(node, it, found) for it in argument]
        if not isinstance(argument, Node):
            return argument
        it = found[argument]
        if isinstance(it, Value) and it.version != self.versions.get(it.storage, 0):
            raise ValueError(f"{node.name}: expected a tensor of which no layer has overwritten the memory")
        return it

    def settled(self, node: Node, arguments: list[object], result: object) -> object:
        """Return a value with what the graph says of it: who takes it, and what memory it is in."""
        if not isinstance(result, Value):
            return result
        before = arguments[0]
        single = len(node.users) == 1
        if isinstance(before, Value) and (before.state == result.state or self.writes):
            # The same tensor, another view of it, or its memory with other numbers.
            single = single and (before.single or before.state != result.state)
            version = before.version + self.writes
            self.versions[before.storage] = version
            return result._replace(single=single, storage=before.storage, version=version)
        return result._replace(single=single)

    def value(self, node: Node, arguments: list[object], words: dict[str, object]) -> object:
        """Return what a node gives; `writes` says whether it is where its first argument was."""
        self.writes = False
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            self.writes = bool(getattr(module, "inplace", False))
            if len(arguments) != 1 or words or not isinstance(arguments[0], Value):
                raise ValueError(f"{node.target}: expected a layer of one tensor, got {kind_of(module)}")
            name = str(node.target)
            return applied(self.builder, name if not self.prefix else "", module, arguments[0])
        name = name_of(node.target)
        values = [it for it in (*arguments, *words.values()) if isinstance(it, Value)]
        if not is_known(node.target):
            raise unknown(node)
        if node.op == "call_function" and not values and name not in JOINING:
            return cast("Call", node.target)(*arguments, **words)
        if name in JOINING and node.op == "call_function":
            return self.joined(node, *arguments, **words)
        if name in ADDING and len(arguments) == 2 and not words:
            self.writes = name != "add"
            return self.added(node, *arguments)
        if values and values == arguments[:1]:
            return self.called(node, name, values[0], arguments[1:], words)
        raise unknown(node)

    def called(
        self, node: Node, name: str, value: Value, others: list[object], words: dict[str, object]
    ) -> object:
        """Return what a function or method of one tensor gives."""
        import torch

        if name in ASKING:
            empty = torch.empty(2, *value.shape, device="meta")
            asked = getattr(empty, str(others[0]) if name == "getattr" else name)
            return asked if name == "getattr" else asked(*others, **words)
        plain = name.removesuffix("_")
        if plain in MODULES and len(others) <= 4:
            words.pop("_stacklevel", None)
            if plain == "dropout":
                # Its third argument says whether it is trained.
                words.pop("training", None)
                others = others[:1] + others[2:]
            try:
                module = getattr(torch.nn, MODULES[plain])(*others, **words)
            except TypeError as error:
                # An argument that the module has not.
                raise unknown(node) from error
            self.writes = plain != name or bool(getattr(module, "inplace", False))
            return applied(self.builder, node.name, module, value)
        if name == "mean":
            return self.mean(node, value, *others, **words)
        if name in COPYING:
            call = cast("Call", node.target) if node.op == "call_function" else getattr(torch.Tensor, name)
            return self.builder.copied(node.name, value, lambda numbers: call(numbers, *others, **words))
        raise unknown(node)

    def added(self, node: Node, one: object, other: object) -> Value:
        """Return the sum of two tensors."""
        if not (isinstance(one, Value) and isinstance(other, Value) and one.shape == other.shape):
            raise ValueError(f"{node.name}: expected two tensors of one shape to add")
        return self.builder.add(Map(node.name, {"join": "sum"}), [one, other], one.shape)

    def joined(self, node: Node, tensors: object, dim: object = 0) -> Value:
        """Return tensors side by side."""
        import torch

        values = [it for it in tensors if isinstance(it, Value)] if isinstance(tensors, list) else []
        if not values or values != tensors:
            raise unknown(node)
        sizes = [it.size for it in values]
        flat = self.builder.add(Map(node.name, {"join": "concatenation"}), values, (sum(sizes),))

        def call(numbers: torch.Tensor) -> torch.Tensor:
            parts = zip(torch.split(numbers, sizes, 1), values, strict=True)
            return torch.cat([part.reshape(-1, *it.shape) for part, it in parts], cast("int", dim))

        return self.builder.copied(node.name, flat, call)

    def mean(self, node: Node, value: Value, dim: object = None, keepdim: object = None) -> Value:
        """Return the global mean of images."""
        import torch

        axes = len(value.shape) - 1
        given = dim if isinstance(dim, list) else [dim]
        asked = sorted(it % (axes + 2) for it in given if isinstance(it, int))
        if axes not in (1, 2) or asked != [*range(2, axes + 2)]:
            raise ValueError(f"{node.name}: expected the mean of all places of an image, got dim={dim}")
        module = (torch.nn.AdaptiveAvgPool1d if axes == 1 else torch.nn.AdaptiveAvgPool2d)(1)
        found = applied(self.builder, node.name, module, value)
        return found if keepdim else found._replace(shape=found.shape[:1])

    def finished(self, output: object, start: Value) -> Graph:
        """Return the layers, the last of which gives the output."""
        if not isinstance(output, Value):
            raise ValueError("model: expected one tensor as the output")  # noqa: TRY004 - of the model's value
        nodes = self.builder.nodes
        if output.state != len(nodes):
            name = nodes[output.state].step.name
            raise ValueError(f"{name}: expected a layer that the output depends on")
        return Graph(start.size, nodes)

    def input_shape(self) -> tuple[int, ...]:
        """Return the shape that the first layer tells."""
        for node in self.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            kind = "" if module is None else kind_of(module)
            if kind == "Linear":
                return (cast("torch.nn.Linear", module).in_features,)
            if kind in ("LayerNorm", "RMSNorm"):
                return tuple(cast("torch.nn.LayerNorm", module).normalized_shape)
            if kind == "BatchNorm1d":
                return (cast("torch.nn.BatchNorm1d", module).num_features,)
            if kind.startswith(("Conv", "BatchNorm", "MaxPool", "AvgPool", "Adaptive", "GroupNorm")):
                break
        raise ValueError("expected input_shape, such as (channels, height, width) of images, got None")


def name_of(target: object) -> str:
    """Return the name of a function or method."""
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def is_known(target: object) -> bool:
    """Return whether a function is one of torch or of Python; or a method, which is one of a tensor."""
    home = getattr(target, "__module__", None)
    return (
        isinstance(target, str)
        or home is None
        or home.partition(".")[0] in ("_operator", "builtins", "torch")
    )


def unknown(node: Node) -> ValueError:
    """Return the error that names a function or method without a rule."""
    kind = {"call_function": "function", "call_method": "method", "get_attr": "tensor"}.get(node.op, node.op)
    got = f"the {kind} {name_of(node.target)}"
    return ValueError(f"{node.name}: expected a layer that section 6.14 has a rule for, got {got}")
