"""The settings of an archive: a table of name, unit, default and sentence. None of them opens the house."""

from huisclos.settings.table import SETTINGS, ArchiveSettings, Setting, load_settings, write_settings

__all__ = ["SETTINGS", "ArchiveSettings", "Setting", "load_settings", "write_settings"]
