"""YAML as people mistype it, and what krunc says of it."""

from __future__ import annotations

BOX = """\
krunc: 1
name: good
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/true}
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join(['*a' if not i else f'*b{i - 1}'] * 10)}]\n" for i in range(9)
)

# What is written, and a part of what krunc says; "" when it compiles.
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "a duplicate key": (BOX + "name: again\n", "x.yaml:6:1: error[KR005]: duplicate key 'name'; the first is on line 2"),
    "a tab": (BOX + "machine:\n\tcpus: 1\n", "x.yaml:7:1: error[KR003]"),
    "a tab's way out": (BOX + "machine:\n\tcpus: 1\n", "help: replace the tab: YAML is indented with spaces"),
    "on for true": (BOX + "shares: [{tag: a, path: a, read_only: on}]\n", '"on" is a string, not true or false'),
    "no for false": (BOX + "shares: [{tag: a, path: a, read_only: no}]\n", "help: write true or false"),
    "a name that YAML 1.1 takes for false": (BOX.replace("good", "no"), ""),
    "an octal-looking number": (BOX + "machine: {cpus: 010}\n", ""),
    "a sexagesimal number": (BOX + "machine: {cpus: 1:30}\n", '"1:30" is a string, not an integer'),
    "a port map unquoted": (BOX.replace("tsi}", "tsi, ports: [8080:80, 22:22]}"), ""),
    "an underscore in a number": (BOX + "machine: {cpus: 1_0}\n", '"1_0" is a string'),
    "an anchor": (BOX + "shares: [{tag: &t a, path: *t}]\n", ""),
    "a merge key": (BOX + "shares: [&s {tag: a, path: a, read_only: false}, {<<: *s, tag: b}]\n", ""),
    "merge keys of a list": (BOX + "limits: {<<: [{core: 1}, {core: bad, cpu: 2}], cpu: 3}\n", ""),
    "a merge key in quotes": (BOX + 'machine: {"<<": {cpus: 1}}\n', "the key '<<' is not known"),
    "a bomb of aliases": (BOMB, "error[KR006]: more than 20,000 values, counting what aliases repeat"),
    "a bomb of merges": ("a: &a {" + ", ".join(f"k{i}: v" for i in range(999)) + "}\n" + "".join(f"b{i}: {{<<: *a}}\n" for i in range(99)), "error[KR006]"),
    "merges of merges": ("a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40)), "error[KR006]"),
    "10,000 levels of lists": ("[" * 10_000, "error[KR006]: more than 32 levels of nesting"),
    "10,000 levels of maps": ("{a: " * 10_000, "error[KR006]: more than 32 levels of nesting"),
    "1,000 indented levels": ("".join(" " * i + "-\n" for i in range(1_000)), "error[KR006]"),
    "a NUL": (BOX.replace("good", "go\0od"), "x.yaml:2:9: error[KR003]: the character U+0000 is not allowed in YAML"),
    "a NUL as an escape": (BOX.replace("good", '"go\\0od"'), "error[KR106]: name: \"go\\u0000od\" has an invalid format"),
    "an escape character": (BOX.replace("good", "\x1b[31m"), "error[KR003]: the character U+001B is not allowed in YAML"),
    "a byte order mark": (b"\xef\xbb\xbf" + BOX.encode(), ""),
    "Windows line ends": (BOX.replace("\n", "\r\n"), ""),
    "old Macintosh line ends": (BOX.replace("\n", "\r") + "cpus: 1\r", "x.yaml:6:1: error[KR101]"),
    "two documents": (BOX + "---\n" + BOX, "x.yaml:6:1: error[KR007]: a second document starts here"),
    "100 MB": (b"#" * 100_000_000, "x.yaml: error[KR001]: the file has more than 1,048,576 bytes"),
    "1 MB of one word": (BOX.replace("good", "a" * 1_000_000), "x.yaml:2:7: error[KR106]: name: \"aaaaaaaa"),
    "1 MB of keys": ("".join(f"k{i}: v\n" for i in range(90_000)), "error[KR006]"),
    "9,000 keys that are not known": (BOX + "".join(f"k{i}: v\n" for i in range(9_000)), "x.yaml:6:1: error[KR101]: k0"),
    "1 MB of one number": (BOX + "machine: {cpus: " + "9" * 1_000_000 + "}\n", "9... is not a finite number"),
    "Latin-1": (BOX.encode().replace(b"good", b"caf\xe9"), "x.yaml:2:10: error[KR002]: byte 0xe9 is not UTF-8"),
    "UTF-16": (BOX.encode("utf-16"), "x.yaml:1:1: error[KR002]: byte 0xff is not UTF-8"),
    "a tag": (BOX.replace("good", "!!python/object/apply:os.system [ls]"), "x.yaml:2:7: error[KR007]"),
    "infinity": (BOX + "machine: {cpus: .inf}\n", "error[KR003]: .inf is not a finite number"),
    "an end-less quote": (BOX.replace("good", "'good"), "help: close the quote"),
    "no space after a colon": (BOX.replace("name: good", "name:good"), "error[KR003]"),
    "a colon in a value": (BOX + "labels: {note: a: b}\n", "x.yaml:6:17: error[KR003]"),
    "a colon in a value, what to do": (BOX + "labels: {note: a: b}\n", "help: put a string with a colon and a space in quotes, or close"),
    "a colon in an item": (BOX.replace("true}", "true, args: [a: b: c]}"), "help: put a string with a colon and a space in quotes"),
    "a comma that is missing": (BOX + "labels: {a: b c: d}\n", "or close the bracket or brace, or write the comma"),
    "a brace that is missing": (BOX.replace("true}", "true") + "labels: {a: b}\n", "or close the bracket or brace, or write the comma"),
    "empty": ("", "error[KR004]: the file is empty"),
    "only comments": ("# nothing\n", "error[KR004]: the file is empty"),
}  # fmt: skip
