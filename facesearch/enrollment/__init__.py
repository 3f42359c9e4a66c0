"""Photos into a gallery: read, judged by the rest of their folder, written."""
