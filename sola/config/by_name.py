"""Classes and functions that users add: a module of their own in a package, found by its name."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sola.config.annotations import fits, in_words
from sola.config.messages import nearest
from sola.errors import UserError
from sola.files import sha256_of_code

CONF_DIR = Path(__file__).parents[2] / "conf"
SHIPPED = (
    "sola.prompts.gdino",
    "sola.prompts.grid",
    "sola.prompts.gt",
    "sola.selector.baseline",
    "sola.selector.track_selector",
)
"""Modules that are found by name and are no user's own."""
_code: dict[str, str] = {}
"""SHA-256 of the code of users' own modules, as it was imported."""


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
        UserError: if there is no such module, or it defines no or several such classes.
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
        raise UserError(
            f"{key}={name}: {module.__file__} must define one class of {base.__name__}."
        )
    check_methods(classes[0], base)
    return classes[0]


def find_module(package: str, name: str, key: str) -> ModuleType:
    """The module below a package; see ``find_class``.

    Raises:
        UserError: if there is none, or a user's own cannot be read, or imports what there is not.
    """
    full_name = f"{package}.{name}"
    try:
        spec = importlib.util.find_spec(full_name)
    except ModuleNotFoundError:  # of a name with dots
        spec = None
    if spec is None or spec.origin is None:
        path = f"{full_name.replace('.', '/')}.py"
        group = key.split(".")[0]
        raise UserError(f"{key}={name}: there is no {path}. Known are the files in conf/{group}.")
    if full_name in SHIPPED:
        return importlib.import_module(full_name)
    try:
        if full_name not in _code or full_name not in sys.modules:
            _code[full_name] = sha256_of_code(Path(spec.origin))
        return importlib.import_module(full_name)
    except SyntaxError as error:
        file = shown_path(error.filename or spec.origin)
        raise UserError(f"{file}, line {error.lineno}: {error.msg}. Mend it.") from error
    except ImportError as error:
        file = shown_path(spec.origin)
        raise UserError(f"{file}: {error}. Install it, or correct the import.") from error


def code_of(module: str) -> str | None:
    """SHA-256 of the code of a user's own module as it was imported; None of those shipped."""
    return _code.get(module)


def shown_path(path: str) -> str:
    """A file as messages name it: from the folder of the program, where it lies there."""
    root = Path(__file__).parents[2]
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def file_of(thing: Any) -> str:
    """The file of a class or function, as messages name it."""
    return shown_path(inspect.getfile(thing))


def check_methods(made: type, base: type) -> None:
    """Makes sure that a class has what its base asks for, and that it can be called as that is.

    Raises:
        UserError: if something is missing, or takes other arguments.
    """
    where = file_of(made)
    for name, member in vars(base).items():
        own = getattr(made, name)
        if getattr(own, "__isabstractmethod__", False):
            raise UserError(f"{where}: {made.__name__} has no {name}, which is needed.")
        if name.startswith("_") or own is member:
            continue
        is_function = inspect.isfunction(inspect.getattr_static(made, name))
        for kind, word in ((property, "@property"), (classmethod, "@classmethod")):
            if isinstance(member, kind) and is_function:
                raise UserError(f"{where}: {name} is a method; write {word} above it.")
        if callable(getattr(base, name)):
            check_call(own, getattr(base, name), where, gets_self=is_function)


def check_call(
    own: Any, needed: Callable[..., Any], where: str, *, name: str = "", gets_self: bool = False
) -> None:
    """Makes sure that a function can be called like another one.

    Args:
        own: the function.
        needed: the other one; what has no default there is given by position, the rest by name.
        where: the file.
        name: of the function, for the message; "": that of the other one.
        gets_self: the first argument is the object.

    Raises:
        UserError: if it takes other arguments.
    """
    name = name or needed.__name__
    parameters = [p for p in inspect.signature(needed).parameters.values() if p.name != "self"]
    parameters = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_position = [p.name for p in parameters if p.default is p.empty and p.kind != p.KEYWORD_ONLY]
    by_name = {p.name: None for p in parameters if p.name not in by_position}
    given = [*(["self"] if gets_self else []), *by_position]
    try:
        inspect.signature(own).bind(*given, **by_name)
    except TypeError as error:
        wanted = inspect.Signature([p.replace(annotation=p.empty) for p in parameters])
        shown = str(wanted).replace("(", "(self, ", 1) if gets_self else str(wanted)
        raise UserError(
            f"{where}: {name} takes other arguments ({error}); needed is {name}{shown}."
        ) from error


def check_arguments(
    function: Callable[..., Any],
    given: dict[str, Any],
    name: str,
    key_of: Callable[[str], str],
    skip: int = 0,
) -> None:
    """Makes sure that a function or class takes the arguments that a user gives.

    Args:
        function: whatever is called with them.
        given: by name.
        name: what the user calls it.
        key_of: the configuration's key of an argument.
        skip: arguments that it gets first, and not from the user.

    Raises:
        UserError: if it does not take one, needs one more, or one is of another type than its
            annotation says (see ``fits``).
    """
    parameters = _parameters(function)[skip:]
    known = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
    unknown = [] if takes_any else sorted(given.keys() - set(known))
    if unknown:
        guess = nearest(unknown[0], known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UserError(
            f"{key_of(unknown[0])}: {name} does not take it; it takes "
            f"{', '.join(known) or 'none'}.{hint}"
        )
    for parameter in parameters:
        key, default = key_of(parameter.name), parameter.default
        if parameter.name not in known:
            continue
        if parameter.name not in given:
            if default is parameter.empty:
                raise UserError(f"{key} is missing: {name} needs it.")
            continue
        value = given[parameter.name]
        if value is not default and not fits(value, parameter.annotation):
            words = in_words(parameter.annotation)
            raise UserError(f"{key} is {value!r}: {name} takes {words}.")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, AttributeError, TypeError):  # of names that type checkers alone import
        signature = inspect.signature(function)
    return list(signature.parameters.values())
