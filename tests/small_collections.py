"""Small collections of each family, with the languages that pretrained models know."""

from __future__ import annotations

import json
from pathlib import Path

CODES = ["deu_Latn", "fra_Latn", "zul_Latn", "quy_Latn", "mri_Latn", "swh_Latn"]


def write_tasks(folder: Path, texts: int) -> Path:
    """Four training tasks, a validation and a test task of `texts` examples each."""
    facts = []
    for number, (split, code) in enumerate(zip(["train"] * 4 + ["valid", "test"], CODES, strict=True)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = [f"{code[:2]} {row} {number}\tw{row} {code[0]}" for row in range(texts)]
        (folder / split / f"{code[:3]}.tsv").write_text("source\ttarget\n" + "".join(f"{row}\n" for row in rows))
        facts.append(f"  {code[:3]}: {{source_language: {code}, target_language: eng_Latn, language: {code[:3]}}}\n")
    head = "family: translation\nlicence: CC0\nsource: made by a test\nparallel: false\ntasks:\n"
    (folder / "collection.yaml").write_text(head + "".join(facts))
    return folder


def write_people(folder: Path, dialogues: int) -> Path:
    """Four training people, one for validation and one for the test, of `dialogues` dialogues with three replies each."""
    for number, (split, code) in enumerate(zip(["train"] * 4 + ["valid", "test"], CODES, strict=True)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = [
            {"dialogue": f"{number}-{place}", "history": [f"{code[:2]} {row} {place}"], "reply": f"w{row} {code[0]}"}
            for place in range(dialogues)
            for row in range(3)
        ]
        (folder / split / f"{code[:3]}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    facts = "family: dialogue\nlicence: CC0\nsource: made by a test\nparallel: false\ntasks:\n"
    known = "".join(f"  {code[:3]}: {{persona: [i like {code[:3]}]}}\n" for code in CODES)
    (folder / "collection.yaml").write_text(facts + known)
    return folder
