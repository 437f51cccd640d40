"""Vocabulary over pydicom: walking data sets, Part 10 files, headings, frames, JSON, matching. Pure."""
