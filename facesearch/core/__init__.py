"""Plain data and small tools that import no other package: errors, names, arrays, paths, files."""
