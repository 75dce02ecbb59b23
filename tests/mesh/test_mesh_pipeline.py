from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mesh.interceptors.pipeline import _Entered


class _FaultError(Exception):
    pass


@pytest.fixture
def left() -> list[str]:
    return []


@contextmanager
def _around(name: str, left: list[str], raises: type[Exception] | None = None) -> Iterator[None]:
    seen = "nothing"
    try:
        yield
    except Exception as error:
        seen = type(error).__name__
        if raises is not None:
            raise raises(name) from error
        raise
    finally:
        left.append(f"{name} saw {seen}")


def test_whoever_stands_further_out_sees_what_an_inner_one_has_made_of_an_error(left: list[str]) -> None:
    def run() -> None:
        with _Entered() as entered:
            entered.enter(_around("outer", left))
            entered.enter(_around("middle", left, raises=_FaultError))
            entered.enter(_around("inner", left))
            raise ValueError("the handler's")

    with pytest.raises(_FaultError) as raised:
        run()

    assert left == ["inner saw ValueError", "middle saw ValueError", "outer saw _FaultError"]
    assert isinstance(raised.value.__cause__, ValueError)


def test_one_that_refuses_a_call_has_those_left_that_were_entered_before_it(left: list[str]) -> None:
    @contextmanager
    def refusing() -> Iterator[None]:
        raise _FaultError
        yield

    with pytest.raises(_FaultError), _Entered() as entered:
        entered.enter(_around("outer", left))
        entered.enter(refusing())

    assert left == ["outer saw _FaultError"]


def test_a_call_that_ends_well_has_all_left_from_the_inside_out(left: list[str]) -> None:
    with _Entered() as entered:
        entered.enter(_around("outer", left))
        entered.enter(_around("inner", left))

    assert left == ["inner saw nothing", "outer saw nothing"]
