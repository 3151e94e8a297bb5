"""Talking with a run that becomes like the person it talks for."""
