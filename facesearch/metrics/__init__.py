"""Error rates of verification and identification, with their confidence intervals."""
