"""The user of an image in numbers, as OCI runtimes find them."""

from __future__ import annotations

import pytest
from krunc_compiler.image.run_config import User
from krunc_compiler.image.unusable import Unusable
from krunc_compiler.image.user import user

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
# app:x:7:7::/no:/no

app:x:1000:1001:An app:/home/app:/bin/sh
twin:x:1000:1002::/home/twin:/bin/sh
short:x:5:6
bad:x:y:6::/bad:/bad
relative:x:8:8::home:/bin/sh
123:x:9:9::/home/123:/bin/sh
"""
GROUP = b"""\
root:x:0:
staff:x:50:app,other
wheel:x:10:other,app
wheel:x:10:app
app:x:1001:
twins:x:60:twin
odd:x:z:app
7:x:77:app
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("app", User("app", 1000, 1001, (50, 10, 77), "/home/app")),
        ("1000", User("app", 1000, 1001, (50, 10, 77), "/home/app")),
        ("root", User("root", 0, 0, (), "/root")),
        ("0", User("root", 0, 0, (), "/root")),
        ("4242", User(None, 4242, 0, (), "/")),
        ("4242:4343", User(None, 4242, 4343, (), "/")),
        ("4242:staff", User(None, 4242, 50, (), "/")),
        # A group that is named takes the place of all.
        ("app:staff", User("app", 1000, 50, (), "/home/app")),
        ("app:50", User("app", 1000, 50, (), "/home/app")),
        ("app:7", User("app", 1000, 7, (), "/home/app")),
        (":staff", User("root", 0, 50, (), "/root")),
        ("short", User("short", 5, 6, (), "/")),
        ("relative", User("relative", 8, 8, (), "/")),
        # Digits are a number, not a name.
        ("123", User(None, 123, 0, (), "/")),
    ],
)  # fmt: skip
def test_a_user(said: str, expected: User) -> None:
    assert user(said, PASSWD, GROUP) == expected


def test_an_image_without_files() -> None:
    assert user("1000:1000", b"", b"") == User(None, 1000, 1000, (), "/")
    assert user("0", b"", b"") == User(None, 0, 0, (), "/")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("nobody", "has no nobody"),
        ("bad", "has no bad"),
        ("app:", "USER or USER:GROUP"),
        ("app:none", "names the group none"),
        ("app:odd", "names the group odd"),
        ("-1", "has no -1"),
        ("\u0661", "has no"),
        ("4294967295", "most is 4294967294"),
        ("1:4294967295", "most is 4294967294"),
        ("9" * 30, "has no 999"),
        ("app:staff:x", "names the group staff:x"),
        ("\x1b[2J", "has no ?[2J"),
    ],
)  # fmt: skip
def test_no_such_user(said: str, message: str) -> None:
    with pytest.raises(Unusable) as refused:
        user(said, PASSWD, GROUP)
    assert message in refused.value.message
    assert refused.value.message.isprintable()


def test_hostile_files() -> None:
    noise = bytes(range(256)) * 100 + b"\n" + b":" * 100_000 + b"\napp:x:99999999999:1::/x:/x\n"
    with pytest.raises(Unusable, match="most is"):
        user("app", noise, noise)
    assert user("1", noise, noise).uid == 1
    many = b"".join(b"g%d:x:%d:app\n" % (number, number) for number in range(70_000))
    assert len(user("app", PASSWD, many).groups) == 65_536
