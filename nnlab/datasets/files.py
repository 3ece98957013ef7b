"""Files of arrays that ship in `data/`: nothing is read from one that is not what it was when it was made."""

import hashlib
import re
from pathlib import Path

from nnlab.datasets.fetching import ROOT, matches
from nnlab.datasets.parts import DataError

DATA = ROOT / "data"
SUMS = DATA / "SHA256SUMS"  # as `sha256sum` writes it


def verified(path: Path) -> Path:
    """The path, if the file has the checksum that stands beside its name in SHA256SUMS; raises DataError if not."""
    sums = re.findall(r"([0-9a-f]{64})  (\S+)", SUMS.read_text()) if SUMS.is_file() else []
    if not any(name == path.name and matches(path, f"sha256:{known}") for known, name in sums):
        found = "damaged: its SHA-256 is not that in SHA256SUMS" if path.is_file() else "missing"
        raise DataError(f"{path} is {found}. Get it back with `git checkout -- data`.")
    return path


def note_checksum(path: Path) -> None:
    """Write the file's checksum into SHA256SUMS, in place of an older one."""
    lines = SUMS.read_text().splitlines() if SUMS.is_file() else []
    lines = [line for line in lines if not line.endswith(f"  {path.name}")]
    lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    SUMS.write_text("\n".join(sorted(lines, key=lambda line: line[66:])) + "\n")
