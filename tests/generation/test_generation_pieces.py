from services.generation.domain.pieces import Pieces
from services.generation.ports import Chunk, TokenCounts


def test_a_chunk_adds_its_text_and_the_counts_stay() -> None:
    pieces = Pieces()
    chunks = (Chunk("one"), Chunk(" t\0w\u200bo"), Chunk(counts=TokenCounts(7, 3)), Chunk(""))
    assert [pieces.take(chunk) for chunk in chunks] == ["one", " two", "", ""]
    assert (pieces.text, pieces.counts) == ("one two", TokenCounts(7, 3))
