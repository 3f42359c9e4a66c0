"""A gallery's database and files: SQL, checksums, encryption, caches."""
