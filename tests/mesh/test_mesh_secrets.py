"""Settings from files, as Compose and Kubernetes hand secrets over."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mesh.config import MeshSettings
from services.cache.config import CacheSettings
from services.generation.config import GenerationSettings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAJI_SECRETS_DIR", str(tmp_path))
    for name in ("GAJI_REDIS_URL", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_file_named_as_a_variable_is_that_setting(folder: Path) -> None:
    (folder / "GAJI_REDIS_URL").write_text("redis://:secret@elsewhere:6379/0\n")
    (folder / "jwt-private.pem").write_text("no setting")
    assert CacheSettings().redis_url == "redis://:secret@elsewhere:6379/0"


def test_a_name_without_our_prefix_is_read_too(folder: Path) -> None:
    (folder / "GEMINI_API_KEY").write_text("k-1")
    assert GenerationSettings().gemini_api_key.get_secret_value() == "k-1"
    assert GenerationSettings().provider_names == ("gemini",)


def test_a_variable_counts_before_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "GAJI_REDIS_URL").write_text("redis://file:6379/0")
    monkeypatch.setenv("GAJI_REDIS_URL", "redis://variable:6379/0")
    assert CacheSettings().redis_url == "redis://variable:6379/0"


def test_files_as_kubernetes_mounts_them_are_read(folder: Path) -> None:
    """A volume of a secret holds links into a folder that is replaced as a whole."""
    (folder / "..2026").mkdir()
    (folder / "..2026" / "GAJI_REDIS_URL").write_text("redis://mounted:6379/0")
    (folder / "..data").symlink_to("..2026")
    (folder / "GAJI_REDIS_URL").symlink_to("..data/GAJI_REDIS_URL")
    assert CacheSettings().redis_url == "redis://mounted:6379/0"


def test_what_does_not_parse_is_told_by_the_setting_and_without_the_secret(folder: Path) -> None:
    (folder / "GAJI_DRAIN_SECONDS").write_text("never")
    with pytest.raises(ValidationError, match="drain_seconds"):
        MeshSettings()


def test_a_folder_that_is_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_SECRETS_DIR", str(folder / "missing"))
    with pytest.raises(ValueError, match="GAJI_SECRETS_DIR: there is no folder"):
        MeshSettings()
