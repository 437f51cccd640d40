"""Probes: one question each, put over one connection; they observe, and judge nothing."""
