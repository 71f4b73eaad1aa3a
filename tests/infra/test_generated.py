"""What is made from the declared settings is committed as it would be made now."""

import pytest

from infra.generate import FILES, ROOT


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_current(name: str) -> None:
    written = (ROOT / name).read_text()
    assert FILES[name](written) == written, "run `make generate` and commit what it changes"
