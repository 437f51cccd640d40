"""The pages that a person meets."""
