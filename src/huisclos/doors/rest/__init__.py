"""Files at rest: what lies in clear, counted without keeping anything that names a person."""
