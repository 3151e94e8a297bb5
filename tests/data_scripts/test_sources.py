from __future__ import annotations

import gzip
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from data_scripts import _sources as sources
from metanlp.errors import UserError


def test_rows_are_read_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b'de\t"Hello," he said\tNA\r\nfr\t\tnull\n'))
    assert list(sources.read_rows(path, ("a", "b", "c"))) == [
        ["de", '"Hello," he said', "NA"],
        ["fr", "", "null"],
    ]


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\tb\nonly one\na\xff\tb\na\tb\tc\n")
    with pytest.raises(UserError) as caught:
        list(sources.read_rows(path, ("lang", "text")))
    assert str(caught.value).split("\n  ") == [
        f"{path}: 3 problems",
        "line 2: 1 columns, not 2 (lang, text)",
        "line 3: not UTF-8 at byte 1",
        "line 4: 3 columns, not 2 (lang, text)",
    ]


def test_a_torn_gzip_is_a_clean_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\n" * 10_000)[:-20])
    with pytest.raises(UserError, match="cannot be read"):
        list(sources.read_rows(path, ("a", "b")))


def test_a_folder_or_a_file_means_the_copy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--from .*tatoeba112\.tsv"):
        sources.local_copy(tmp_path, "tatoeba112")
    (tmp_path / "tatoeba112.tsv").write_text("")
    assert sources.local_copy(tmp_path, "tatoeba112") == tmp_path / "tatoeba112.tsv"
    assert sources.local_copy(tmp_path / "tatoeba112.tsv", "tatoeba112") == tmp_path / "tatoeba112.tsv"


def test_a_zip_is_downloaded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "home.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with sources.open_zip(None, (tmp_path / "home.zip").as_uri()) as archive:
        assert archive.read("a.txt") == b"hello"
    with sources.open_zip(tmp_path / "home.zip", "http://127.0.0.1:9/x.zip") as archive:
        assert archive.namelist() == ["a.txt"]


def test_without_a_network_the_way_out_is_named() -> None:
    url = "http://127.0.0.1:9/x.zip"
    with pytest.raises(UserError, match=rf"{url} cannot be downloaded .*--from"), sources.open_zip(None, url):
        pass


def test_what_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("<html>")
    with pytest.raises(UserError, match="not a zip"), sources.open_zip(tmp_path / "x.zip", ""):
        pass
    with pytest.raises(UserError, match="cannot be read"), sources.open_zip(tmp_path / "absent.zip", ""):
        pass


def test_the_licence_of_an_unpacked_package(tmp_path: Path) -> None:
    folder = tmp_path / "django_allauth-65.0.dist-info" / "licenses"
    folder.mkdir(parents=True)
    (folder / "LICENSE").write_text("MIT, by someone\n")
    assert sources.licence_of("django-allauth", tmp_path) == (
        "65.0",
        "--- django-allauth 65.0\n\nMIT, by someone",
    )
    assert sources.licence_of("allauth", tmp_path) == ("", "")


def test_a_package_that_pip_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with ExitStack() as stack, pytest.raises(UserError, match=r"no-such-package-here==1 .*--from"):
        sources.package_root("no-such-package-here", "1", stack)


def test_pip_fills_a_folder_that_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "small_thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_thing/hello.txt", "hello")
        wheel.writestr("small_thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-thing\nVersion: 1.0\n")
        wheel.writestr(
            "small_thing-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("small_thing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with ExitStack() as stack:
        root = sources.package_root("small-thing", "1.0", stack)
        assert (root / "small_thing" / "hello.txt").read_text() == "hello"
        assert sources.licence_of("small-thing", root)[0] == "1.0"
    assert not root.exists()


def test_an_installed_package_is_found_in_place() -> None:
    with ExitStack() as stack:
        assert (sources.package_root("pyyaml", "0", stack) / "yaml").is_dir()
    assert sources.installed_version("pyyaml", "x").split(".")[0].isdigit()
    with pytest.raises(UserError, match=r"pip install 'metanlp\[demo\]'"):
        sources.installed_version("no-such-package-here", "demo")
