"""Plain data and leaves that import no other package: errors, names, arrays, paths, files."""
