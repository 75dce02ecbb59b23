"""A cache in the process of whoever asks, kept right by the news of what is invalidated.

`cache` holds the values, `coverage` says up to when they are known to be right, `watch` listens.
"""

from mesh.near.cache import NearCache, Ticket
from mesh.near.coverage import Beat, Coverage, Gone, InPlace, News
from mesh.near.watch import OpenWatch, following_news

__all__ = ["Beat", "Coverage", "Gone", "InPlace", "NearCache", "News", "OpenWatch", "Ticket", "following_news"]
