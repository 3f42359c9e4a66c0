"""From a photo to its faces, their chips and embeddings."""
