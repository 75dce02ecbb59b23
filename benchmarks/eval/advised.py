"""What a large model's advice makes of the same queries, where one is configured (GAJI_SEARCH_MODEL)."""

from collections.abc import Mapping, Sequence

from benchmarks.eval.scoring import DEPTH, Query
from services.search.advised import bounds_of, open_asking
from services.search.config import SearchSettings
from services.search.domain.advising import Advising, UnadvisedError
from services.search.domain.searching import Searching
from services.search.ports import NovelStore

MOST_CALLS = 100_000
"""A minute: an evaluation asks as fast as it is answered, whatever searches may cost."""


async def advised(
    searching: Searching, store: NovelStore, ids: Mapping[str, str], queries: Sequence[Query]
) -> dict[str, dict[str, list[str]]]:
    """The first passages of each query with advice, by the model's name; empty without a model."""
    settings = SearchSettings().model_copy(update={"search_model_calls": MOST_CALLS})
    async with open_asking(settings) as asking:
        if asking is None:
            return {}
        advising = Advising(searching, asking, bounds_of(settings))
        found: dict[str, list[str]] = {}
        answered = 0
        for query in queries:
            novel = await store.novel(ids[query.novel])
            assert novel is not None
            try:
                rows = await advising.search(novel, query.text, DEPTH, None)
                answered += 1
            except UnadvisedError:
                rows = await searching.search(novel, query.text, DEPTH, None)
            found[query.id] = [one.passage.content for one in rows]
        print(f"{advising.name} has answered {answered} of {len(queries)} searches in time")
        return {advising.name: found}
