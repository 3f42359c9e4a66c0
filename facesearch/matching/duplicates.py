"""How near two photos of a face must be to be suspected of being one picture."""

import numpy as np

from facesearch.matching.calibration import BINS, Calibration

RARE = 0.01  # the share of genuine pairs that are near enough for their photos to be looked at


def near_enough(calibration: Calibration) -> float:
    """The distance below which so few pairs of photos of a person lie that copies are suspected.

    A copy moves an embedding far less than another photo does; the pictures then decide.
    """
    limits = [0.0]
    for part in calibration.populations:
        if part.genuine_pairs:
            counts = np.cumsum(part.genuine_histogram)
            limits.append(BINS[int(np.searchsorted(counts, RARE * part.genuine_pairs)) + 1])
    return max(limits)
