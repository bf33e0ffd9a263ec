"""Variables by which programs of the guest run other code, however programs let them be written."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from reviews import call, order, reviewed

Operation = dict[str, Any]


def started(env: dict[str, Any]) -> Operation:
    return order("program", exec_path="/a", argv=[], envp=env)


def effects(old: list[Operation], new: list[Operation]) -> set[str]:
    return {change.effect for change in compare(reviewed(*old), reviewed(*new)).changes}


@pytest.mark.parametrize(
    "name",
    [
        # npm reads its settings in any case, and - as _; pip what is behind PIP_.
        *("npm_Config_script_shell", "NPM_config_node_options", "npm_config_script-shell"),
        *("Npm_Config_Registry", "npm_config_@a:registry", "PIP_index_url", "PIP_CONSTRAINT"),
        # What is in the middle of a name is somebody's own.
        *("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "CARGO_TARGET_X_LINKER"),
        *("CARGO_BUILD_RUSTC_WRAPPER", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CUDA_LINKER_LAUNCHER"),
        *("CC_aarch64_unknown_linux_musl", "ANSIBLE_LOOKUP_PLUGINS", "ANSIBLE_CONFIG"),
        *("XDG_CONFIG_HOME", "UV_INDEX_URL", "UV_INDEX", "PERL5SHELL", "SVN_SSH", "RSYNC_RSH"),
        *("TAR_OPTIONS", "HGRCPATH", "KUBECONFIG", "CFLAGS", "ASAN_OPTIONS", "NIX_LD"),
    ],
)
def test_it_opens(name: str) -> None:
    assert "widens" in effects([started({})], [started({name: "/x"})])


@pytest.mark.parametrize(
    "name",
    [
        *("npm_config_loglevel", "NPM_CONFIG_CACHE", "npm_config_registry_x", "PIP_NO_CACHE_DIR"),
        *("PIP_DISABLE_PIP_VERSION_CHECK", "PIP_CACHE_DIR", "UV_CACHE_DIR", "UV_LINK_MODE"),
        *("CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "CARGO_INCREMENTAL", "CGO_ENABLED", "CCACHE_DIR"),
        *("cflags", "cargo_home", "ANSIBLE_FORCE_COLOR", "TF_LOG", "XDG_CACHE_HOME"),
        *("XDG_RUNTIME_DIR", "HOMEDIR", "TERM", "LANG", "TZ", "USER"),
    ],
)
def test_it_does_not(name: str) -> None:
    assert effects([started({})], [started({name: "/x"})]) == {"alters"}


def mounted(path: str) -> Operation:
    return order("mount_share", path=path, tag="s", access="read")


def merged(path: str) -> Operation:
    laid = {"mode": 0o644, "one_shot": False, "data": {"text": "x"}}
    return call("krun_fs_add_overlay_file", fs_tag="/dev/root", path=path, **laid)


# A directory in which programs look for settings, such as .gitconfig, and what the plan has there.
@pytest.mark.parametrize(
    ("home", "other"),
    [
        ("/src", mounted("/src")),
        ("/src/a", mounted("/src")),
        ("/src/../src/./a/", mounted("/src")),
        ("src", mounted("/src")),
        ("/work", mounted("/work/.config")),
        ("/work", merged("/work/.gitconfig")),
        ("/work", merged("work//.gitconfig")),
        ("/", merged("/.bashrc")),
    ],
)
def test_a_home_opens_where_the_plan_has_something(home: str, other: Operation) -> None:
    (fact,) = (
        fact
        for fact in reviewed(other, started({"HOME": home})).machine
        if fact.subject == ("run", "HOME")
    )
    assert "where programs look for settings that name code: the plan has /" in fact.text
    # Whichever of both is new.
    assert "widens" in effects([other, started({})], [other, started({"HOME": home})])
    if "path" in other["args"] and "order" in other:
        assert "widens" in effects([started({"HOME": home})], [other, started({"HOME": home})])


@pytest.mark.parametrize(
    ("home", "other"),
    [
        ("/home/app", mounted("/src")),
        ("/srcs", mounted("/src")),
        ("/", mounted("/src")),
        ("/srv", merged("/srv/main.c")),
        # krunc's own file: the program's environment, and no settings of programs.
        ("/", merged("/.krunc_script")),
        ("/tmp", order("mount_tmpfs", path="/tmp", size_mib=None, mode="1777")),
    ],
)
def test_a_home_of_the_root_alters(home: str, other: Operation) -> None:
    assert effects([other, started({})], [other, started({"HOME": home})]) == {"alters"}


def test_a_home_that_is_a_secret_can_be_anywhere() -> None:
    assert "widens" in effects([started({})], [started({"HOME": {"from_env": "S"}})])
