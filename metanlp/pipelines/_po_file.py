"""A .po file whose entries polib reads, and whose lines stay as they are but for those of entries that are filled in."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metanlp.errors import UserError

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
WIDTH = 78  # of the lines that polib and gettext write


class PoFile:
    """`entries` are polib's, in the order of the file; the header is none of them."""

    def __init__(self, path: Path) -> None:
        try:
            import polib
        except ModuleNotFoundError:
            raise UserError("gettext catalogues are read with polib: pip install 'metanlp[po]'") from None
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        self.path, self.encoding = path, polib.detect_encoding(str(path))
        try:
            text = path.read_bytes().decode(self.encoding)
            self.entries: list[Any] = list(file := polib.pofile(str(path), encoding=self.encoding))
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not in {self.encoding}, as its header says, at byte {error.start}") from None
        except OSError as error:
            raise UserError(f"{path} is not a gettext catalogue: {error}") from None
        self.facts: Mapping[str, str] = file.metadata
        self.lines = LINE.findall(text)
        self._starts = sorted({entry.linenum - 1 for entry in self.entries})

    def fill_in(self, number: int, texts: Mapping[int | None, str]) -> None:
        """Fill in an entry: `{None: text}`, or a text for each plural form. It is marked fuzzy."""
        entry = self.entries[number]
        if entry.msgid_plural:
            entry.msgstr_plural = dict(texts)
        else:
            entry.msgstr = texts[None]
        own = self._own_lines(number)
        flags = [line for line in own if self.lines[line].lstrip().startswith("#,")]
        first = next(line for line in own if re.match(r"\s*(#\||msgctxt|msgid)", self.lines[line]))
        strings = [line for line in own if self.lines[line].lstrip().startswith("msgstr")]
        while strings[-1] + 1 in own and self.lines[strings[-1] + 1].lstrip().startswith('"'):
            strings.append(strings[-1] + 1)
        end = "\r\n" if self.lines[first].endswith("\r\n") else "\n"
        spelt = entry.__unicode__(WIDTH).rstrip("\n").split("\n")
        while not spelt[0].startswith("msgstr"):
            spelt.pop(0)
        last = self.lines[strings[-1]]
        for line in range(strings[0], strings[-1] + 1):
            self.lines[line] = ""
        self.lines[strings[0]] = end.join(spelt) + last[len(last.rstrip("\r\n")) :]
        if flags:
            self.lines[flags[0]] = self.lines[flags[0]].replace("#,", "#, fuzzy,", 1)
        else:
            self.lines[first] = f"#, fuzzy{end}{self.lines[first]}"
        entry.flags.append("fuzzy")

    def content(self) -> bytes:
        """The file as it is now."""
        return "".join(self.lines).encode(self.encoding)

    def _own_lines(self, number: int) -> range:
        start = self.entries[number].linenum - 1
        after = bisect(self._starts, start)
        return range(start, self._starts[after] if after < len(self._starts) else len(self.lines))
