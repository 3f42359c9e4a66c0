"""From a photo to faces, chips and embeddings."""
