from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metanlp.data.readers import read_examples, read_file, read_rows
from metanlp.data.rows import REASONS, Rejected
from metanlp.data.types import Example
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
clean = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)
pairs = st.lists(st.tuples(clean, clean), unique=True, max_size=8)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def reasons(path: Path, **options: int) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in read_file(path, **options)[1]]


@PER_EXAMPLE
@given(rows=pairs, bom=st.booleans(), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_any_text_goes_through_tsv_unchanged(tmp_path: Path, rows: list, bom: bool, end: str, last: bool) -> None:
    lines = ["source\ttarget", *("\t".join(row) for row in rows)]
    content = end.join(lines) + (end if last else "")
    path = write(tmp_path / "a.tsv", b"\xef\xbb\xbf" * bom + content.encode())
    examples, rejected = read_file(path)
    assert [(example.source, example.target) for example in examples] == rows
    assert rejected == []


@PER_EXAMPLE
@given(rows=pairs, ascii_only=st.booleans())
def test_any_text_goes_through_jsonl_unchanged(tmp_path: Path, rows: list, ascii_only: bool) -> None:
    lines = [json.dumps({"source": s, "target": t, "id": t[::-1]}, ensure_ascii=ascii_only) for s, t in rows]
    examples, rejected = read_file(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert [(example.source, example.target, example.id) for example in examples] == [(s, t, t[::-1]) for s, t in rows]
    assert rejected == []


@PER_EXAMPLE
@example(rows=[("0", "\ufeff")], bom=False)
@example(rows=[], bom=True)
@given(rows=pairs, bom=st.booleans())
def test_any_text_goes_through_parquet_and_parallel_files_unchanged(tmp_path: Path, rows: list, bom: bool) -> None:
    sources, targets = [s for s, _ in rows], [t for _, t in rows]
    pq.write_table(
        pa.table({"target": targets, "source": sources}, pa.schema([("target", "string"), ("source", "string")])),
        tmp_path / "a.parquet",
    )
    for name, texts in (("b.source.txt", sources), ("b.target.txt", targets)):
        content = "".join(f"{text}\n" for text in texts)
        marked = bom or content.startswith("\ufeff")  # the first one is the file's own, so a text's needs one before it
        write(tmp_path / name, "\ufeff" * marked + content)
    for name in ("a.parquet", "b.source.txt", "b.target.txt"):
        examples, rejected = read_file(tmp_path / name)
        assert [(example.source, example.target) for example in examples] == rows
        assert rejected == []


@PER_EXAMPLE
@given(
    body=st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.sampled_from([b"a\tb", b"\r", b"\t", b'{"source": 1}', b"\xe2\x80\xa8\tx"]),
        )
    ),
    suffix=st.sampled_from(["tsv", "jsonl"]),
)
def test_of_arbitrary_bytes_every_row_is_kept_or_listed(tmp_path: Path, body: list[bytes], suffix: str) -> None:
    content = b"\n".join(body)
    rows_in = content.count(b"\n") + (bool(content) and not content.endswith(b"\n"))
    header = b"source\ttarget\n" if suffix == "tsv" else b""
    examples, rejected = read_file(write(tmp_path / f"a.{suffix}", header + content))
    assert len(examples) + len(rejected) == rows_in
    assert all(row.reason in REASONS for row in rejected)
    for row in rejected:
        row.text.encode()  # fit for rejected.jsonl
    lines = [line for line, _ in read_rows(tmp_path / f"a.{suffix}")]
    first = 2 if suffix == "tsv" else 1
    assert lines == list(range(first, first + rows_in))


def test_reasons_and_line_numbers_of_tsv(tmp_path: Path) -> None:
    rows = [
        b"source\ttarget\tid\tpool", b"a\tb\t1\t", b"\xff\tb\t\t", b"", b"a\tc",
        b"a\tb\tc\td\te", b" \tb\t\t", b"a\x07\tb\t\t", b"abcdefg\tb\t\t", b"a\tb\t2\tquery",
        b"a\tc\t\ttrain",
        b"a\td\t\tsupport",
        "a\t\u2028\t\t".encode(), "\x85e\tb\t\t".encode(),
    ]  # fmt: skip
    path = write(tmp_path / "a.tsv", b"\n".join(rows))
    examples, rejected = read_file(path, limit=6)
    assert examples == [Example("a", "b", "1", ""), Example("a", "d", "", "support")]
    assert [(row.line, row.reason) for row in rejected] == [
        (3, "bad UTF-8"), (4, "empty line"), (5, "missing column"), (6, "extra column"), (7, "empty side"),
        (8, "control character"), (9, "over-long"), (10, "duplicate"), (11, "bad pool"), (13, "empty side"),
        (14, "control character"),
    ]  # fmt: skip
    assert rejected[0] == Rejected(str(path), 3, "bad UTF-8", "\\xff\tb\t\t")


def test_reasons_of_jsonl(tmp_path: Path) -> None:
    lines = [
        '{"source": "a", "target": "b", "id": 7, "pool": null}',
        '{"source": "a"',
        '["a", "b"]',
        '{"source": "a"}',
        '{"source": null, "target": "b"}',
        '{"source": "a", "target": 3}',
        '{"source": "a", "target": "b", "note": "x"}',
        '{"source": "a", "source": "b", "target": "c"}',
        '{"source": "a", "target": "\\ud800"}',
        '{"source": "a\\nb", "target": "c"}',
        "",
        '{"source": "a", "target": "b"}',
        '{"source": "a", "target": "x", "id": 1.5}',
        "[" * 100_000,
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(lines))
    assert read_file(path)[0] == [Example("a", "b", "7", "")]
    assert reasons(path) == [
        (2, "malformed JSON"), (3, "wrong type"), (4, "missing column"), (5, "wrong type"), (6, "wrong type"),
        (7, "unknown column"), (8, "malformed JSON"), (9, "bad UTF-8"), (10, "control character"),
        (11, "empty line"), (12, "duplicate"), (13, "wrong type"), (14, "malformed JSON"),
    ]  # fmt: skip


def test_reasons_of_parquet(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    sources = pa.chunked_array([pa.array(["a", None, " ", "a"]), broken])
    pq.write_table(
        pa.table({"source": sources, "target": ["b", "b", "b", "b", "b"], "id": [1, 2, 3, 4, None]}),
        tmp_path / "a.parquet",
    )
    examples, rejected = read_file(tmp_path / "a.parquet")
    assert examples == [Example("a", "b", "1")]
    assert [(row.line, row.reason) for row in rejected] == [
        (2, "wrong type"), (3, "empty side"), (4, "duplicate"), (5, "bad UTF-8"),
    ]  # fmt: skip
    pq.write_table(pa.table({"source": pa.array([b"a"]), "target": ["b"]}), tmp_path / "bytes.parquet")
    assert reasons(tmp_path / "bytes.parquet") == [(1, "wrong type")]
    pq.write_table(
        pa.table({"source": pa.array(["a", "c"]).dictionary_encode(), "target": ["b", "d"]}),
        tmp_path / "codes.parquet",
    )
    assert read_file(tmp_path / "codes.parquet")[0] == [Example("a", "b"), Example("c", "d")]


@pytest.mark.parametrize("character", CONTROLS)
def test_no_control_character_gets_in_or_splits_a_line(tmp_path: Path, character: str) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"source": f"a{character}b", "target": "c"}) + "\n")
    assert reasons(path) == [(1, "control character")]
    if character not in "\t\n":
        raw = write(tmp_path / "a.tsv", f"source\ttarget\na{character}b\tc\nd\te\n")
        assert reasons(raw) == [(2, "control character")]
        assert read_file(raw)[0] == [Example("d", "e")]


def test_words_that_others_take_for_nothing_survive(tmp_path: Path) -> None:
    words = [
        "NA",
        "null",
        "None",
        "n/a",
        "nan",
        "NULL",
        "true",
        "1e5",
        "-",
        '"',
        '"a',
        "a  ",
        " b",
        "\u2028x\u2029",
        "\u00a0y",
    ]
    path = write(tmp_path / "a.tsv", "source\ttarget\n" + "".join(f"{word}\t{word}\n" for word in words))
    assert [example.source for example in read_file(path)[0]] == words


def test_parallel_files_of_different_length_name_both_counts(tmp_path: Path) -> None:
    write(tmp_path / "zu.source.txt", "a\nb\nc")
    write(tmp_path / "zu.target.txt", "x\ny\n")
    with pytest.raises(UserError, match=r"zu\.source\.txt has 3 lines and .*zu\.target\.txt has 2"):
        read_file(tmp_path / "zu.source.txt")


def test_parallel_rows_name_the_file_at_fault(tmp_path: Path) -> None:
    write(tmp_path / "zu.source.txt", b"a\n\xff\n\nc\n")
    write(tmp_path / "zu.target.txt", b"\xfe\ny\nz\nw\n")
    examples, rejected = read_file(tmp_path / "zu.source.txt")
    assert examples == [Example("c", "w")]
    assert [(Path(row.file).name, row.line, row.reason) for row in rejected] == [
        ("zu.target.txt", 1, "bad UTF-8"),
        ("zu.source.txt", 2, "bad UTF-8"),
        ("zu.source.txt", 3, "empty side"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.tsv", b"one\tein\n", r"a\.tsv:1: no column source and no column target; found 'one', 'ein'; "),
        ("a.tsv", b"one\tein\n", r"put the line source<TAB>target before it"),
        ("a.tsv", b"sorce\ttarget\n", r"found 'sorce', 'target'; call 'sorce' 'source'"),
        ("a.tsv", b"Source\tTarget \n", r"write their names in small letters, without spaces"),
        ("a.tsv", b"source,target\n", r"no column source and no column target; .*; put a tab between the columns"),
        ("a.tsv", b"source;target\n", r"put a tab between the columns"),
        ("a.tsv", b"source\ttarget\tpol\n", r"unknown column 'pol' \(did you mean 'pool'\?\)"),
        ("a.tsv", b"source\ttarget\tsource\n", r"named twice"),
        ("a.tsv", b"", r"is empty"),
        ("a.tsv", "source\ttarget\n".encode("utf-16"), r"UTF-16"),
        ("a.csv", b"source,target\n", r"save it as tab-separated"),
        ("a.source.txt", b"x\n", r"a\.target\.txt is missing"),
        ("a.parquet", b"x\n", r"not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_file(write(tmp_path / name, content))


def test_an_excerpt_shows_what_is_wrong(tmp_path: Path) -> None:
    far = b"abcdefghi " * 30
    path = write(
        tmp_path / "a.tsv",
        b"source\ttarget\n" + b"".join(far + odd + b"end\tx\n" for odd in (b"\xc2\x96", b"\xff")),
    )
    control, byte = read_file(path)[1]
    assert control.text == "abcdefghi " * 4 + "\\x96end\tx"
    assert byte.text == "abcdefghi " * 4 + "\\xffend\tx"
    plain = write(tmp_path / "b.tsv", b"source\ttarget\n" + far + b"\n")
    assert read_file(plain)[1][0].text == "abcdefghi " * 8


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.tsv: No such file"):
        read_file(tmp_path / "nothing.tsv")


def test_reading_streams(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"source\ttarget\na\tb\n" + b"\xff" * 10 + b"\n")
    rows = read_examples(path)
    assert next(rows) == Example("a", "b")
    assert isinstance(next(rows), Rejected)


def test_documentation_names_every_reason() -> None:
    text = (Path(__file__).parents[2] / "docs" / "collections.md").read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"| {reason} |" not in text] == []
