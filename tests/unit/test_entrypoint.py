"""The log: its lines, as Cloud Logging reads them, and its level."""

import json
import logging
from collections.abc import Iterator

import pytest

from shared import entrypoint
from shared.entrypoint import JsonLines, Stderr
from shared.settings import SettingError


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    handler = Stderr()
    handler.setFormatter(JsonLines())
    logger = logging.Logger("shared.test")
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_a_line_is_one_json_object(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    log.info("webhook accepted", extra={"json": {"event": "é\n1"}})
    log.warning("%s left", 2)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        {"severity": "INFO", "message": "webhook accepted", "event": "é\n1"},
        {"severity": "WARNING", "message": "2 left"},
    ]


def test_an_exception_stands_in_its_line(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("failed")
    assert "KeyError: 'lost'" in json.loads(capfd.readouterr().err)["exception"]


def test_a_line_that_cannot_be_written_fails_nobody(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise ValueError

    log.info("seen", extra={"json": {"what": Hostile()}})
    log.info("after it")
    assert json.loads(capfd.readouterr().err.splitlines()[-1])["message"] == "after it"


def test_a_log_level_that_is_none_stops_the_start_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    with pytest.raises(SettingError, match="LOG_LEVEL"):
        entrypoint._level()
