"""The files of a new project, written without touching what is there."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.storage.atomic import output_path, save_texts

# Where each goes, by its name in `template`, where no name begins with a dot: tools would follow such files there.
FILES: Final[Mapping[str, str]] = {
    "behaviors.md": "behaviors/README.md",
    "encouragement.jsonl": "behaviors/encouragement.jsonl",
    "requirements.txt": "requirements.txt",
    "gitignore": ".gitignore",
    "steering.sh": "ci/steering.sh",
    "steering.yml": ".github/workflows/steering.yml",
    "Makefile": "Makefile",
}


def create_project(folder: str | Path = ".") -> tuple[Path, ...]:
    """Write the files of a new project.

    Args:
        folder: made if need be. Files in it that say the same already stay, so that an interrupted call can be
            repeated.

    Returns:
        The files that were written.

    Raises:
        InputError: one of the files is there and says something else; then nothing is written. The folder cannot be
            written.
    """
    folder = output_path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder", code="file-exists", field="folder")
    wanted = {target: _text(name) for name, target in FILES.items()}
    taken = [target for target, text in wanted.items() if _differs(folder / target, text)]
    if taken:
        raise InputError(
            f"{folder} holds {', '.join(taken)} already, which would be overwritten; nothing was written: give a new "
            "folder, or move them",
            code="file-exists",
            field="folder",
        )
    missing = {target: text for target, text in wanted.items() if not (folder / target).exists()}
    for target, text in missing.items():
        file = folder / target
        save_texts(file.parent, file.name, {file.name: text})
    return tuple(folder / target for target in missing)


def _text(name: str) -> str:
    return (files("trimtab.workflows.init") / "template" / name).read_text(encoding="utf-8")


def _differs(file: Path, text: str) -> bool:
    """Whether something else than this text is there."""
    try:
        return file.read_bytes() != text.encode()
    except (FileNotFoundError, NotADirectoryError):  # of the latter writing says what is wrong
        return False
    except OSError:  # a folder, or nothing that can be read
        return True
