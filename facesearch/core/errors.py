"""The errors a user can fix, each with the exit code of the command line."""


class FacesearchError(Exception):
    """Base of every error a user can fix. The message is one line and names the culprit."""

    exit_code = 3


class PhotoError(FacesearchError):
    """A photo is missing, no image, damaged or too large."""

    exit_code = 4


class NotAnImage(PhotoError):
    """A file is no image, or of a format that is not read."""


class TooManyPixels(PhotoError):
    """A photo has more pixels than are read."""


class NothingEnrolled(FacesearchError):
    """Not one of the given photos could be enrolled."""

    exit_code = 5


class GalleryError(FacesearchError):
    """A gallery is empty, locked, read-only, damaged or made with another model."""

    exit_code = 6


class PersonError(FacesearchError):
    """A person's name is unknown, taken or not usable as a name."""

    exit_code = 7


class BadName(PersonError):
    """A text cannot be a person's name."""


class UnknownPerson(PersonError, KeyError):
    """Nobody bears the name."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


class ModelError(FacesearchError):
    """A model folder is missing, incomplete or damaged."""

    exit_code = 8


class CalibrationError(FacesearchError):
    """An error rate was asked for that the model's calibration cannot support."""

    exit_code = 9


class DataError(FacesearchError):
    """A folder of people or a list of pairs cannot be used for training or evaluation."""

    exit_code = 10


class ClusterError(FacesearchError):
    """A Ray cluster cannot be reached, or its workers are not like this program."""


class MissingExtra(FacesearchError):
    """A command needs packages of an extra that is not installed."""

    exit_code = 11


class TrainingCollapsed(FacesearchError):
    """The network being trained no longer tells people apart, and will not recover."""

    exit_code = 12
