"""libyaml's parser, which PyYAML has, without all that PyYAML is in Python.

`import yaml` makes the classes of its loaders and dumpers, and compiles their regular expressions:
more than a quarter of what one compilation took, and no box has a use for it. So the package is put
among the modules as it is found, and is executed when somebody asks it for what is not there yet.
From then on it is what `import yaml` makes of it; tests/text/test_libyaml.py holds the two equal.
Nothing else of the compiler imports PyYAML."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

# The modules in Python that libyaml's parser asks for when it is made, each for errors.
_LATE = (
    "reader",
    "scanner",
    "parser",
    "composer",
    "constructor",
    "emitter",
    "serializer",
    "representer",
)


class _Late:
    """Stands for a module of PyYAML's: it is imported when the first of its errors is made."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, error: str) -> Callable[..., Any]:
        return lambda *given: getattr(import_module(f"yaml.{self._name}"), error)(*given)


def _parser() -> Any:
    """Return the class of libyaml's parser, or None when PyYAML was built without it."""
    if "yaml" not in sys.modules:
        try:
            return _alone()
        # A PyYAML that is made another way is imported as a whole.
        except (AttributeError, ImportError):
            for name in [*sys.modules]:
                if name.partition(".")[0] == "yaml":
                    del sys.modules[name]
    try:
        from yaml.cyaml import CParser  # type: ignore[attr-defined]

        return CParser
    except ImportError:
        return None


def _alone() -> Any:
    """Return libyaml's parser, from a package that is executed later."""
    spec = PathFinder.find_spec("yaml")
    if spec is None or spec.loader is None:
        raise ImportError("PyYAML is not found as files")
    loader, made = spec.loader, False

    def missing(name: str) -> Any:
        if not made:
            if name in _LATE:
                return _Late(name)
            raise AttributeError(name)
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    package = sys.modules["yaml"] = ModuleType("yaml")
    package.__spec__, package.__loader__, package.__package__ = spec, loader, "yaml"
    package.__file__, package.__path__ = spec.origin, spec.submodule_search_locations or []
    package.__dict__["__getattr__"] = missing
    # The parser takes them from the package.
    import yaml.error
    import yaml.events
    import yaml.nodes
    import yaml.tokens  # noqa: F401
    from yaml._yaml import CParser

    made = True
    return CParser


CParser = _parser()

from yaml import events, nodes  # noqa: E402
from yaml.error import YAMLError  # noqa: E402

__all__ = ["CParser", "YAMLError", "events", "events_of", "nodes"]


def events_of(text: str) -> Iterator[Any]:
    """Read the events of TEXT, whose errors are a YAMLError."""
    parser: Any
    if CParser is None:
        from yaml import SafeLoader

        parser = SafeLoader(text)
    else:
        parser = CParser(text)
    while parser.check_event():
        yield parser.get_event()
