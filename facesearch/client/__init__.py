"""A gallery that a service keeps, with the methods of a local one."""

from facesearch.client.client import Client as Client
