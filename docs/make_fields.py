"""Writes docs/recipe-fields.md from the fields' own help: python docs/make_fields.py"""

from __future__ import annotations

from pathlib import Path

from metanlp.config.reference import fields_page

if __name__ == "__main__":
    page = Path(__file__).with_name("recipe-fields.md")
    page.write_text(fields_page(), encoding="utf-8")
    print(f"wrote {page}")
