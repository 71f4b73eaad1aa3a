"""Each port's suite runs against every implementation: SQLite and threads, and Google's clients on emulators."""

from collections.abc import Iterator

import pytest

from tests.stand_in import Reply, StandIn


@pytest.fixture(params=["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def endpoint() -> Iterator[StandIn]:
    with StandIn(Reply(204)) as endpoint:
        yield endpoint
