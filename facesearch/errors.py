"""The errors that a user can fix, by the name under which users import them."""

from facesearch.core.errors import BadName as BadName
from facesearch.core.errors import CalibrationError as CalibrationError
from facesearch.core.errors import ClusterError as ClusterError
from facesearch.core.errors import DataError as DataError
from facesearch.core.errors import FacesearchError as FacesearchError
from facesearch.core.errors import GalleryError as GalleryError
from facesearch.core.errors import MissingExtra as MissingExtra
from facesearch.core.errors import ModelError as ModelError
from facesearch.core.errors import NotAnImage as NotAnImage
from facesearch.core.errors import NothingEnrolled as NothingEnrolled
from facesearch.core.errors import PersonError as PersonError
from facesearch.core.errors import PhotoError as PhotoError
from facesearch.core.errors import TooManyPixels as TooManyPixels
from facesearch.core.errors import TrainingCollapsed as TrainingCollapsed
from facesearch.core.errors import UnknownPerson as UnknownPerson
