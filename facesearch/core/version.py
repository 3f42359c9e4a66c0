"""The version of facesearch."""

__version__ = "0.1.0"
