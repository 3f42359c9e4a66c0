"""How near two faces must be for their photos to be compared as possible copies."""

import numpy as np

from facesearch.matching.calibration import BINS, Calibration

RARE = 0.01  # the share of genuine pairs whose photos are compared


def near_enough(calibration: Calibration) -> float:
    """The distance below which two faces are suspected to come from copies of one picture.

    A copy moves an embedding far less than another photo of the person does: only RARE genuine
    pairs lie that near. Whether they are copies is decided by the pictures; see near_duplicates.
    """
    limits = [0.0]
    for part in calibration.populations:
        if part.genuine_pairs:
            counts = np.cumsum(part.genuine_histogram)
            limits.append(BINS[int(np.searchsorted(counts, RARE * part.genuine_pairs)) + 1])
    return max(limits)
