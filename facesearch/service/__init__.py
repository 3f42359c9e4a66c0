"""The gallery over HTTP. Nothing here is imported before `facesearch serve` starts."""
