"""What an evaluation found, for people: tables in plain text, sentences, plots, a page with all of it."""

from metanlp.report.page import write_report
from metanlp.report.text import samples, tables

__all__ = ["samples", "tables", "write_report"]
