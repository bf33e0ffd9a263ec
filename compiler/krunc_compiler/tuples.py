"""NamedTuple, whose classes are made in a tenth of the time that those of typing take.

One compilation makes eighty such classes. For each, typing compiles every annotation and a
function, which together was a fifth of the compilation. tests/house/test_tuples.py holds both
equal.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.version_info >= (3, 14):  # where a class body has no annotations yet
    from typing import NamedTuple as NamedTuple
else:
    from collections import _tuplegetter
    from functools import cache

    _Function = type(lambda: None)
    _tuple = tuple.__new__

    class _Fields(tuple):
        """What all of these classes have."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            """Return one of VALUES, of which there is one for each field."""
            return cls(*values)

        def _replace(self, **changed):
            """Return one with other values for the fields CHANGED."""
            made = _tuple(type(self), map(changed.pop, self._fields, self))
            if changed:
                raise ValueError(f"Got unexpected field names: {[*changed]!r}")
            return made

        def _asdict(self):
            """Return the values by the names of their fields."""
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            values = (f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({', '.join(values)})"

        def __getnewargs__(self):
            return tuple(self)

    class _Making(type):
        """Makes the annotations of a class the fields of a tuple."""

        def __new__(cls, name, bases, space):
            fields = tuple(space.get("__annotations__", ()))
            defaults = {field: space[field] for field in fields if field in space}
            space |= {field: _tuplegetter(n, None) for n, field in enumerate(fields)}
            code = _maker(len(fields)).replace(co_varnames=("_cls", *fields))
            new = _Function(code, globals(), "__new__", tuple(defaults.values()))
            new.__qualname__ = f"{name}.__new__"
            space["__new__"] = new
            space["__match_args__"] = space["_fields"] = fields
            space["_field_defaults"] = defaults
            space["__slots__"] = ()
            return type(name, (_Fields,), space)

    @cache
    def _maker(count):
        """Return the code that makes a tuple of COUNT arguments, which are to get their names."""
        names = "".join(f"_{n}, " for n in range(count))
        return eval(f"lambda _cls, {names}: _tuple(_cls, ({names}))").__code__

    NamedTuple = type.__new__(_Making, "NamedTuple", (), {})
