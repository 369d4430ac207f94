from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import document_vlm
from document_vlm.settings import PREFIX, BadSetting, Settings


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_environment({}) == Settings()


def test_each_kind_of_option_is_read():
    read = Settings.from_environment(
        {
            "DOCUMENT_VLM_SLOTS": "2",
            "DOCUMENT_VLM_PROMPT_CACHE": "false",
            "DOCUMENT_VLM_HOST": "::1",
            "DOCUMENT_VLM_PORT": "0",
        }
    )
    assert (read.slots, read.prompt_cache, read.host, read.port) == (2, False, "::1", 0)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DOCUMENT_VLM_SLOTS", "two", "whole number"),
        ("DOCUMENT_VLM_SLOTS", "0", "at least 1"),
        ("DOCUMENT_VLM_QUEUE", "-1", "at least 0"),
        ("DOCUMENT_VLM_PROMPT_CACHE", "maybe", "true or false"),
    ],
)
def test_a_bad_value_is_named_with_what_would_be_right(variable, value, expected):
    with pytest.raises(BadSetting, match=f"{variable}='{value}'.*{expected}"):
        Settings.from_environment({variable: value})


def test_the_readme_lists_every_option():
    readme = (Path(document_vlm.__file__).parent / "README.md").read_text()
    for option in dataclasses.fields(Settings):
        assert f"`{PREFIX}{option.name.upper()}`" in readme
