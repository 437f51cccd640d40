"""The process that holds the archive's secret and writes the journal, and its client.

It parses nothing that came from the wire: it hands out keys, judges proofs, signs, and writes.
"""
