"""YAML as people expect it, and what is written reads back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metanlp.config.yaml import parse_yaml, read_yaml, to_yaml, write_yaml
from metanlp.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("No", "No"),
        ("off", "off"),
        ("yes", "yes"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("3e4", 3e4),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("7", 7),
        ("-7", -7),
        ("1e", "1e"),
        ("e4", "e4"),
        ("1.2.3", "1.2.3"),
        ("null", None),
        ("~", None),
        ("", None),
        ("[no, 1e-3, x]", ["no", 1e-3, "x"]),
        ("{no: off}", {"no": "off"}),
        ("'1e-4'", "1e-4"),
        (".inf", float("inf")),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = parse_yaml(text, "test")
    assert found == value
    assert type(found) is type(value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
    | st.sampled_from(
        ["no", "yes", "1e-4", "on", "~", "null", "1_0", "0x1", "1:30", "2020-01-01", "=", "<<", ".inf", "1e5", "", " x"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abyn1e-", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=PLAIN)
@example(value="1e-4")
@example(value={"no": "no", "1e4": 1e4})
@settings(max_examples=200, deadline=None)
def test_what_is_written_reads_back(value: object) -> None:
    text = to_yaml(value)
    assert parse_yaml(text, "test") == value


@given(value=st.dictionaries(st.sampled_from("abc"), st.booleans() | st.integers() | st.text("noyes1e-4", max_size=4)))
@settings(max_examples=60, deadline=None)
def test_other_readers_see_the_same_text(value: dict) -> None:
    """YAML 1.1 readers, for which a bare `no` is false."""
    assert yaml.safe_load(to_yaml(value)) == value


def test_a_key_given_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n")
    with pytest.raises(UserError, match=rf"{path}:5: 'c' is given twice"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\t- x", "&a [*b]", "a: 'x", "!!python/object:os.system {}", "? [a]\n: b", "{[1]: 2}"]
)
def test_what_is_no_yaml_is_told_with_its_place(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"{path}:\d+:\d+: not valid YAML"):
        read_yaml(path)


def test_files_as_people_save_them(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: gr\xc3\xbc\xc3\x9f\r\nb: no\r\n")
    assert read_yaml(path) == {"a": "grüß", "b": "no"}
    path.write_bytes(b"a: \xff")
    with pytest.raises(UserError, match="not UTF-8 at byte 3"):
        read_yaml(path)
    with pytest.raises(UserError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_order_and_letters_are_kept(tmp_path: Path) -> None:
    write_yaml(tmp_path / "x.yaml", {"z": "grüß", "a": ["四"]})
    assert (tmp_path / "x.yaml").read_text(encoding="utf-8") == "z: grüß\na:\n- 四\n"
