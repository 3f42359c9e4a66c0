"""The JSON of every result: written, described and read back in one place."""
