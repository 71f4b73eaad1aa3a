"""docs/adding-a-provider.md adds a provider by three files: a copy of the project with them works."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text()
FILES: dict[str, str] = dict(
    re.findall(r"^`([\w/.]+)`[^`]*(?:`[\w/]+`[^`]*)?:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
)
COPIED = ("shared", "local", "infra", "functions", "tests", "docs", "Makefile", "pyproject.toml", ".env.example")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the three files of the page."""
    copy = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__", ".terraform", "*.png")
        shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy(source, copy)
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text)
    return copy


def python(project: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": "."})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_holds_a_module_a_stand_in_and_vectors() -> None:
    assert sorted(FILES) == [
        "local/provider_stubs/vendors/acme.py",
        "shared/adapters/providers/sms/acme.py",
        "tests/contract/test_acme.py",
    ]


def test_the_kit_and_the_stand_ins_tests_pass(project: Path) -> None:
    said = python(
        project,
        "-m",
        "pytest",
        "-q",
        "tests/contract/test_acme.py",
        "tests/local/test_provider_stubs.py",
        "-k",
        "acme or Acme",
    )
    assert "passed" in said


FOLLOWS = """
import json
from shared.console.configuration import configuration
from shared.domain.model import ChannelName
from shared.settings import Settings
from shared.settings.channels import SMS_PROVIDERS
from shared.setting_types import SettingError
from shared.adapters.providers import registry

def missing(**environ):
    try:
        registry.sender(ChannelName.SMS, "acme", Settings(environ), lambda: None)
    except SettingError as e:
        return str(e)

print(json.dumps({
    "chosen": Settings({"SMS_PROVIDER": "acme"}).providers(),
    "wrong": [missing(), missing(ACME_TOKEN="t"), missing(ACME_TOKEN="t", ACME_FROM="f", ACME_API_URL="x")],
    "shown": configuration({"ACME_TOKEN": "s3cret", "ACME_FROM": "Relay"}),
}))
"""


def test_choice_checks_and_the_page_of_settings_follow(project: Path) -> None:
    said = json.loads(python(project, "-c", FOLLOWS))
    assert said["chosen"] == {"sms": "acme"}
    assert said["wrong"] == [
        "ACME_TOKEN is not set",
        "ACME_FROM is not set",
        "ACME_API_URL 'x' must be an https:// URL",
    ]
    assert said["shown"] == {"ACME_TOKEN": "set, hidden", "ACME_FROM": "Relay"}


def test_the_generated_files_follow(project: Path) -> None:
    python(project, "-m", "infra.generate")
    made = {name: (project / name).read_text() for name in (".env.example", "docs/settings.md", "infra/choices.tf")}
    assert "\n#ACME_API_URL=https://api.acme.example\n" in made[".env.example"]
    assert "| `ACME_TOKEN` | required, secret | the account's token |" in made["docs/settings.md"]
    assert 'contains(["acme", "' in made["infra/choices.tf"]
    table = json.loads((project / "infra/functions.json").read_text())
    assert table["deliver"]["secrets"]["ACME_TOKEN"] == "SMS_PROVIDER=acme"
    assert table["receipts"]["secrets"]["ACME_WEBHOOK_SECRET"] == "RECEIPTS=acme"
    python(project, "-m", "pytest", "-q", "tests/infra/test_generated.py")
