"""Writes docs/importing.md, the page of krunc import, from the importers' own tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from krunc_compiler.importing import compose_keys, oci_keys
from krunc_compiler.importing.docker_options import options, spellings

PAGE = Path(__file__).with_name("importing.md")
_HEAD = """\
# From containers to krunc

```sh
krunc import docker-run 'docker run --rm -p 8080:80 nginx:1.27' -o web.yaml
krunc import docker-run -- podman run --rm alpine:3.20 uname -r
krunc import compose compose.yaml web -o web.yaml
krunc import oci ./bundle -o app.yaml
```

Each writes a box. A comment at its top names everything that has no counterpart, or became something
else. [examples/imported](../examples/imported/README.md) has three originals with their boxes.
`krunc import boxlite` has [a page of its own](boxlite.md). A box with an image is pulled before it
compiles: `krunc pull web.yaml`.

The tables below are made from the importers' own by `docs/generate_importing.py`; do not edit them.
"noted" means: a comment says it.

## What holds for all

- **Nothing is weakened silently.** What bounds the container is carried over, or a comment says
  that the box does not have it.
- **Nothing is opened by a guess.** Privileges, devices, the host's network and namespaces, sockets of an
  engine, and host-gateway are omitted, with a comment.
- **Nothing else is asked**: no engine, no registry, no file that the original names, no environment.
  What depends on those is an error (KR513) or a comment.
- **What is wrong is reported at its place**, all of it in one run, and not a box is written then. A box that is
  written compiles, once its image is pulled.

| container | box |
| --- | --- |
| image | `rootfs: {image: NAME, changes: discard}`; `read_only: true` instead of `changes` with a read-only root |
| its program, arguments, user, directory and variables | the image's, unless the original says others |
| a program that is not an absolute path | `script: exec "$@"`, so that the guest's shell looks it up |
| a host directory | a share, writable unless the original says `ro`. A relative path starts at the box's directory |
| `~`, a socket, /, /dev, /proc, /sys, a file of /etc | noted, and omitted |
| a volume with a name | a disk, `NAME.img`, with the line that makes it. `entrypoint.before` gives it to the program's user |
| a volume without a name | the root's own directory; with a read-only root a tmpfs |
| a port without an address | every host address, as engines have it: `0.0.0.0:8080:80` |
| CPUs | whole ones: 1.5 became 2, and a comment says so |
| no memory or CPU limit | a VM has one: 4 GiB and 4 vCPUs unless `machine` says otherwise |

## Docker, Podman, nerdctl

The command is one string, the words behind `--`, or standard input (`-`). It is read as a shell reads
it: quotes, `\\` at the end of a line, comments. `$PWD` in a path is the box's directory, and
`--env NAME=$OTHER` is `{from_env: OTHER}`. Any other `$`, a backtick, a pipe or a second command is an
error: what it comes to is not known here.

| option | becomes |
| --- | --- |
"""  # noqa: E501
_COMPOSE = """
## Compose

The file is read as YAML 1.2, with anchors and `<<`. `SERVICE` can be omitted where there is one, or
one without a profile. `extends` within the file is merged as Compose does; another file is an error, and
`docker compose config --no-interpolate` writes all in one. `${NAME:-default}` is its default, with a
comment. A variable without one is an error, but in `environment`: there `NAME: ${OTHER}` is
`{from_env: OTHER}`. So is a secret's with a default, and a variable that is part of a longer string
becomes `{from_env: NAME}` for all of it. Keys that Compose does not know are errors; `x-` keys are not.

| key of a service | becomes |
| --- | --- |
"""  # noqa: E501
_OCI = """
## Runtime bundles

`BUNDLE` is the directory with config.json, of the OCI runtime specification 1.x, and its root. Unknown
keys are noted.

| key | becomes |
| --- | --- |
"""  # noqa: E501


def page() -> str:
    """The text of the page."""
    run = (
        (", ".join(f"`{one}`" for one in spellings(option.name)), _said(option.says, option.quiet))
        for option in options().values()
    )
    compose = ((f"`{key.name}`", key.says) for key in compose_keys.keys().values())
    oci = ((f"`{name}`", says) for name, says in oci_keys.page().items())
    return _HEAD + _rows(run) + _COMPOSE + _rows(compose) + _OCI + _rows(oci)


def _said(says: str, quiet: bool) -> str:
    return f"nothing: {says}" if quiet and not says.startswith("`") else says


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"| {name} | {says} |\n" for name, says in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
