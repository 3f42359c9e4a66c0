"""facesearch: an index of people made from folders of photos."""

__version__ = "0.1.0"
