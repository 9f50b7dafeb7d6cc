"""Check `_target_` nodes against the signatures of their targets, and build them.

A node is checked as a whole before anything is built. Unknown and missing arguments are reported
with their full key and the nearest known name; pydantic checks types against the annotations.
Building calls the targets directly, so that an error of a constructor is reported under its key.
"""

import functools
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sola.errors import UserError, did_you_mean

TARGET, PARTIAL, RECURSIVE, ARGS = "_target_", "_partial_", "_recursive_", "_args_"
SPECIAL = {TARGET, PARTIAL, RECURSIVE, ARGS, "_convert_"}
"""Special keys of Hydra's nodes."""

Built = TypeVar("Built")


class Later(Generic[Built]):
    """A checked node that is built later; each call builds a new object.

    Args:
        node: plain values with a ``_target_``.
        key: key of the node in the configuration, for messages.
    """

    def __init__(self, node: Mapping[str, Any], key: str) -> None:
        self.node, self.key = dict(node), key

    def __call__(self, *args: Any, **kwargs: Any) -> Built:
        """Build the object; the arguments are added to those of the node.

        Raises:
            UserError: if the constructor rejects a value.
        """
        node = {name: value for name, value in self.node.items() if name != PARTIAL}
        built: Built = build(node | kwargs, self.key, *args)
        return built


def is_node(value: Any) -> bool:
    """Return whether a value of the configuration has a ``_target_``."""
    return isinstance(value, Mapping) and TARGET in value


def check_tree(value: Any, key: str, *, is_partial: bool = False) -> None:
    """Check every node of a tree, outer nodes first.

    Args:
        value: plain, resolved values.
        key: key of the tree in the configuration.
        is_partial: whether the outermost target gets more arguments later.

    Raises:
        UserError: if a target cannot be imported, or does not take its arguments.
    """
    if is_node(value):
        arguments = {name: each for name, each in value.items() if name not in SPECIAL}
        target = locate(value[TARGET], key)
        check_arguments(
            target,
            arguments,
            key,
            num_positional=len(value.get(ARGS, ())),
            is_partial=is_partial or bool(value.get(PARTIAL)),
        )
        if value.get(RECURSIVE, True) is False:
            return
    for name, each in _children(value, key):
        check_tree(each, name)


def build(value: Any, key: str, *args: Any) -> Any:
    """Build every node of a tree, inner nodes first; other values are returned unchanged.

    Args:
        value: plain values, or objects; checked by ``check_tree``.
        key: key of the tree in the configuration.
        args: positional arguments of the outermost target.

    Raises:
        UserError: if a constructor rejects a value.
    """
    if isinstance(value, list):
        return [build(each, f"{key}[{idx}]") for idx, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    is_flat = value.get(RECURSIVE, True) is False
    arguments = {
        name: each if is_flat else build(each, f"{key}.{name}")
        for name, each in value.items()
        if name not in SPECIAL or not is_node(value)
    }
    if not is_node(value):
        return arguments
    target = locate(value[TARGET], key)
    args = (*value.get(ARGS, ()), *args)
    if value.get(PARTIAL):
        return functools.partial(target, *args, **arguments)
    return call(target, key, *args, **arguments)


def check_kind(built: Any, kind: type, key: str) -> None:
    """Check the class of an object.

    Args:
        built: object built from the node.
        kind: required base class.
        key: key of the node in the configuration.

    Raises:
        UserError: if the object is not an instance of the class.
    """
    if not isinstance(built, kind):
        needed = f"{kind.__module__}.{kind.__qualname__}"
        found = f"{type(built).__module__}.{type(built).__qualname__}"
        raise UserError(f"{_join(key, TARGET)}: must build a {needed}, got {found}.")


def call(target: Callable[..., Any], key: str, *args: Any, **kwargs: Any) -> Any:
    """Call a constructor; report a rejected value under the key of its node.

    Raises:
        UserError: for a UserError, and for a ValueError, TypeError or MisconfigurationException
            of a library's own constructor.
    """
    try:
        return target(*args, **kwargs)
    except UserError as error:
        raise UserError(_with_key(str(error), key, target)) from error
    except (ValueError, TypeError) as error:
        if not _is_of_library(target):
            raise
        raise UserError(f"{key}: {error}") from error
    except Exception as error:
        if type(error).__name__ != "MisconfigurationException":  # importing Lightning takes seconds
            raise
        raise UserError(f"{key}: {error}") from error


def locate(path: str, key: str) -> Callable[..., Any]:
    """Import the class or function that a ``_target_`` names.

    Raises:
        UserError: if the module, or the name in it, does not exist.
    """
    names, missing = str(path).split("."), None
    if not all(names):
        raise UserError(f"{key}.{TARGET}: {path!r} must be package.module.name.")
    for count in range(len(names) - 1, 0, -1):
        module_name = ".".join(names[:count])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
                missing = error.name
                continue
            raise
        for name in names[count:]:
            if not hasattr(found, name):
                hint = did_you_mean(name, [each for each in dir(found) if not each.startswith("_")])
                reason = f" (no module {missing})" if missing else ""
                raise UserError(f"{key}.{TARGET}: {path} not found{reason}.{hint}")
            found = getattr(found, name)
        if not callable(found):
            raise UserError(f"{key}.{TARGET}: {path} is not a class or function.")
        located: Callable[..., Any] = found
        return located
    raise UserError(
        f"{key}.{TARGET}: {path} not found (no module {missing or path}). Correct the path, or "
        "put the folder of your package on PYTHONPATH."
    )


def check_arguments(
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    key: str,
    *,
    num_positional: int = 0,
    is_partial: bool = False,
) -> None:
    """Check arguments against the signature of their target, if it has one.

    Args:
        target: a class or function.
        arguments: plain values by name.
        key: key of the node; "" for the top level.
        num_positional: number of further arguments passed by position.
        is_partial: whether more arguments follow later.

    Raises:
        UserError: if an argument is unknown, missing, or of the wrong type.
    """
    parameters = parameters_of(target)
    if parameters is None:
        return
    named = {
        name: each
        for name, each in parameters.items()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    takes_any = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    unknown = [] if takes_any else [name for name in arguments if name not in named]
    if unknown:
        hint = did_you_mean(unknown[0], list(named), prefix=_join(key, ""))
        raise UserError(f"{_join(key, unknown[0])}: unknown key.{hint}")
    missing = [
        name
        for name, each in list(named.items())[num_positional:]
        if each.default is each.empty and name not in arguments and not is_partial
    ]
    if missing:
        keys = [_join(key, name) for name in missing]
        example = " ".join(f"{each}=..." for each in keys)
        raise UserError(f"{', '.join(keys)}: required. Add {example}")
    annotations = _annotations(target)
    for name, value in arguments.items():
        if name in annotations and name in named and value is not named[name].default:
            _check_type(value, annotations[name], _join(key, name))


def _check_type(value: Any, annotation: Any, key: str) -> None:
    if _holds_node(value):
        return  # only the constructor knows which objects it accepts
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, TypeError):
        return  # pydantic does not support the annotation
    try:
        # strict JSON mode: a string is valid as a Path, a list as a tuple, but "no" is not a bool
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        found = [each["msg"] for each in error.errors() if each["type"] != "needs_python_object"]
        reasons = [f"{text[:1].lower()}{text[1:]}" for text in dict.fromkeys(found)]
        reason = "; or: ".join(reasons[:2]) or f"must be an object, built from a {TARGET}"
        raise UserError(f"{key}: {reason}, got {value!r}.") from error


def parameters_of(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return parameters by name; None for a C function without a signature."""
    try:
        return inspect.signature(target).parameters
    except (ValueError, TypeError):
        return None


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Return annotations by argument, without those that cannot be resolved."""
    function: Any = target.__init__ if inspect.isclass(target) else target
    function = inspect.unwrap(function)
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, getattr(function, "__globals__", {}))
            except (NameError, AttributeError, TypeError, SyntaxError):
                continue
        found[name] = annotation
    return found


def _children(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((_join(key, str(name)), each) for name, each in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield from ((f"{key}[{idx}]", each) for idx, each in enumerate(value))


def _holds_node(value: Any) -> bool:
    return is_node(value) or any(_holds_node(each) for _, each in _children(value, ""))


def _with_key(text: str, key: str, target: Callable[..., Any]) -> str:
    """Return ``key.<text>`` if the text starts with an argument's name, else the text."""
    argument = text.partition(":")[0]
    is_argument = argument.partition(".")[0] in (parameters_of(target) or ())
    return f"{_join(key, text)}" if is_argument else text


def _is_of_library(target: Callable[..., Any]) -> bool:
    """Return whether a target is torch's or Lightning's: they raise ValueError or TypeError."""
    return (target.__module__ or "").partition(".")[0] in ("torch", "pytorch_lightning")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
