"""Nearest people: FAISS on this machine, or Milvus, kept in step with the database."""
