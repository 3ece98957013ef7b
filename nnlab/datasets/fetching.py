"""Published files, downloaded once and checked each time: a file counts only if it has its published checksum."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnlab.datasets.parts import DataError
from nnlab.progress import somebody_watches

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "NNLAB_DATA"  # the environment variable that names another directory for downloads
TIMEOUT = 20.0  # seconds without a sign of life from a server
CHUNK = 1 << 16  # bytes


def data_directory(directory: str | os.PathLike[str] | None = None) -> Path:
    """Where downloads are: `directory`, or what the environment variable NNLAB_DATA says, or `data/downloads`."""
    return Path(directory or os.environ.get(VARIABLE) or ROOT / "data" / "downloads").expanduser().absolute()


def matches(file: Path, checksum: str) -> bool:
    """Whether `file` is there and has this `checksum`, such as "md5:9fb6..." or "sha256:0a1b..."."""
    algorithm, _, known = checksum.partition(":")
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    return found == known.lower()


def fetch(
    name: str,
    directory: Path,
    addresses: Sequence[str],
    checksum: str,
    most: int,
    instead: str,
    progress: bool | None = None,
) -> Path:
    """The file `name` in `directory`; downloaded from the first of `addresses` that has it unless it is there.

    A file with another `checksum` is as good as none, and is fetched again. What has arrived of a download that broke
    off waits in `name.part`, and the next call asks for the rest only. `most` is the largest size in bytes that is
    accepted; `instead` says what to use without the file. A progress bar is shown where somebody watches.

    Raises DataError if the file can't be had.
    """
    file = directory / name
    if matches(file, checksum):
        return file
    damaged = f"{file} is damaged and " if file.is_file() else ""
    import pooch
    import requests

    bar = somebody_watches() if progress is None else progress
    download = _ResumingDownload(directory / f"{name}.part", most, bar)
    reason = "no address"
    log = pooch.get_logger()  # it would write "Downloading ..." to stderr, which fails a graded cell
    level = log.level
    log.setLevel("ERROR")
    try:
        for address in addresses:
            url = f"{address.rstrip('/')}/{name}"
            for _ in range(2):  # the second time from the start, if what was begun turned out to be worthless
                resumed = download.part.is_file()
                try:
                    return Path(pooch.retrieve(url, checksum, fname=name, path=directory, downloader=download))
                except requests.RequestException as error:
                    reason = f"{url}: {_in_words(error)}"
                    break
                except ValueError:
                    reason = f"{url}: what came is not the published file ({checksum})"
                    if not resumed:
                        break
        if matches(file, checksum):  # another process was quicker
            return file
    except OSError as error:
        raise DataError(f"{file} can't be written: {error.strerror or error}. Set {VARIABLE} to a directory.") from None
    finally:
        log.setLevel(level)
    raise DataError(
        f"{damaged}{name} can't be downloaded from {reason}.\n"
        f"Put the file into {directory} by hand, or set {VARIABLE} to where it is, or use {instead}, which need no download."
    ) from None


class _ResumingDownload:
    """A downloader for pooch that goes on where the last one broke off (HTTP range requests, RFC 9110 section 14)."""

    def __init__(self, part: Path, most: int, bar: bool) -> None:
        self.part, self.most, self.bar = part, most, bar

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        import shutil

        import requests

        have = self.part.stat().st_size if self.part.is_file() else 0
        # "identity": a server that unpacks .gz files on the way would spoil both checksum and position.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # there is nothing after what we have: it is complete, or not of this file
                total = have
            else:
                response.raise_for_status()
                if response.status_code != 206 or not _starts_at(response.headers.get("Content-Range", ""), have):
                    have = 0
                total = have + int(response.headers.get("Content-Length", 0))
                self._receive(response, have, total)
        arrived = self.part.stat().st_size
        if arrived < total:
            raise requests.ConnectionError(_broke_off(arrived, total))
        # A copy, so that a second process that still writes to the part can't spoil the file after its check.
        shutil.copyfile(self.part, output_file)
        self.part.unlink(missing_ok=True)

    def _receive(self, response: Any, have: int, total: int) -> None:
        import requests
        from tqdm.auto import tqdm

        label = self.part.stem
        with (
            self.part.open("ab" if have else "wb") as part,
            tqdm(
                total=total or None,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=label,
                leave=False,
                disable=not self.bar,
            ) as bar,
        ):
            try:
                for chunk in response.iter_content(CHUNK):
                    if part.tell() + len(chunk) > self.most:
                        part.seek(0)  # nothing of it is worth going on with
                        part.truncate()
                        raise requests.ConnectionError(
                            f"more than {self.most / 1e6:.0f} MB, which {label} does not have"
                        )
                    part.write(chunk)
                    bar.update(len(chunk))
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError) as error:
                if part.tell() == 0:
                    raise
                raise requests.ConnectionError(_broke_off(part.tell(), total)) from error


def _starts_at(content_range: str, position: int) -> bool:
    found = re.match(r"bytes (\d+)-", content_range)
    return found is not None and int(found[1]) == position


def _broke_off(arrived: int, total: int) -> str:
    of_all = f" of {total / 1e6:.1f}" if total else ""
    return f"the connection broke after {arrived / 1e6:.1f}{of_all} MB; the next call goes on from there"


def _in_words(error: Exception) -> str:
    """One short reason, instead of the chain of objects that `requests` gives."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"the server says {response.status_code} {response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT:.0f} s"
    if error.args and isinstance(error.args[0], str):
        return error.args[0]
    return "no connection (are you offline?)"
