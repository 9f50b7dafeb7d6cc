"""Classes and functions that users add: a module of their own in a package, found by its name."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sola.config.messages import nearest

CONF_DIR = Path(__file__).parents[2] / "conf"


def names_of(group: str, package: str, first: tuple[str, ...]) -> tuple[str, ...]:
    """What a user may choose by name: what is here, then what has been added.

    Args:
        group: folder of conf/; what is added has a file there.
        package: folder of sola/; it has a module of the same name there.
        first: what is here.
    """
    modules = Path(__file__).parents[1] / package
    added = {
        p.stem for p in (CONF_DIR / group).glob("*.yaml") if (modules / f"{p.stem}.py").is_file()
    }
    return (*first, *sorted(added - set(first)))


def find_class(package: str, name: str, base: type, key: str) -> Any:
    """The class that a module defines, which is the only one of its kind there.

    Args:
        package: such as ``sola.selector``.
        name: the module's, below the package.
        base: what the class must be.
        key: of the configuration, such as selector.name, for messages.

    Raises:
        ValueError: if there is no such module, or it defines no or several such classes.
    """
    module = find_module(package, name, key)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1 or classes == [base]:
        raise ValueError(
            f"{key}={name}: {module.__file__} must define one class of {base.__name__}."
        )
    return classes[0]


def find_module(package: str, name: str, key: str) -> ModuleType:
    """The module below a package; see ``find_class``."""
    full_name = f"{package}.{name}"
    try:
        return importlib.import_module(full_name)
    except ModuleNotFoundError as error:
        if error.name != full_name:
            raise
        path = f"{full_name.replace('.', '/')}.py"
        group = key.split(".")[0]
        raise ValueError(
            f"{key}={name}: there is no {path}. Known are the files in conf/{group}."
        ) from error


def check_arguments(
    function: Callable[..., Any], given: dict[str, Any], name: str, prefix: str, skip: int = 0
) -> None:
    """Makes sure that a function or class takes the arguments that a user gives.

    Args:
        function: whatever is called with them.
        given: by name.
        name: what the user calls it.
        prefix: of the configuration's keys, such as "selector.".
        skip: arguments that it gets first, and not from the user.

    Raises:
        ValueError: if it does not take one, or needs one more.
    """
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    known = [parameter.name for parameter in parameters]
    unknown = sorted(given.keys() - set(known))
    if unknown:
        guess = nearest(unknown[0], known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise ValueError(
            f"{prefix}{unknown[0]}: {name} does not take it; it takes "
            f"{', '.join(known) or 'none'}.{hint}"
        )
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise ValueError(f"{prefix}{parameter.name} is missing: {name} needs it.")
