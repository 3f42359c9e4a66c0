"""Pictures of invented people, and the tour that `facesearch demo` makes of them."""
