"""The data sets: drawn ones that a seed fixes, a shipped one with a checksum, and published ones that are downloaded,
checked, and read without trusting them. Downloads come from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import pickle
import struct
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import nnlab
from nnlab import Affine, Conv2d, DataError, Flatten, MaxPool2d, Norm, ReLU, Sequential, norms
from nnlab import datasets as ds
from nnlab.datasets import fetching, files, lettering, published

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"
SPLIT = ("train", "val", "test")

real_images = pytest.mark.skipif(
    not (REAL / "mnist").is_dir(), reason="no real images: ../shared/data, which is not part of the project, is absent"
)

Draw = Callable[..., nnlab.Data]


# Glyphs and textures: drawn from a seed


@pytest.fixture(params=[ds.glyphs, ds.textures], ids=["glyphs", "textures"])
def draw(request: pytest.FixtureRequest) -> Draw:
    drawing: Draw = request.param
    return drawing


def content(data: nnlab.Data) -> str:
    arrays = [getattr(data, f"{letter}_{part}") for letter in "xy" for part in SPLIT]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_a_seed_fixes_every_byte_and_another_seed_changes_them(draw: Draw) -> None:
    assert content(draw(200, seed=3)) == content(draw(200, seed=3)) != content(draw(200, seed=4))


def test_no_image_is_in_two_parts_or_twice_in_one(draw: Draw) -> None:
    data = draw(1500)
    images = [image.tobytes() for part in SPLIT for image in getattr(data, f"x_{part}")]
    assert len(set(images)) == 1500


def test_the_test_set_stays_when_there_is_more_to_train_on(draw: Draw) -> None:
    few, many = (draw(count, validation=40, test=60, standardize=False) for count in (200, 700))
    np.testing.assert_array_equal(few.x_test, many.x_test)
    np.testing.assert_array_equal(few.y_test, many.y_test)


def test_every_class_is_equally_frequent_in_every_part_give_or_take_one(draw: Draw) -> None:
    data = draw(1000, validation=0.2, test=150)
    assert [len(getattr(data, f"y_{part}")) for part in SPLIT] == [650, 200, 150]
    for part in SPLIT:
        labels = getattr(data, f"y_{part}")
        frequent = np.bincount(labels, minlength=len(data.classes))
        assert len(frequent) == len(data.classes) and np.ptp(frequent) <= 1
        assert not np.array_equal(labels, np.sort(labels))


@pytest.mark.parametrize("size", [8, 16, 33, 64])
@pytest.mark.parametrize("colour", [False, True])
def test_images_have_the_size_and_colours_asked_for_and_lie_in_0_to_1(draw: Draw, size: int, colour: bool) -> None:
    data = draw(60, size=size, colour=colour, standardize=False)
    channels = 3 if colour else 1
    assert data.x_train.shape == (42, channels, size, size)
    for part in SPLIT:
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert x.dtype == np.float32 and y.dtype == np.int64 and not x.flags.writeable
        assert 0 <= x.min() < 0.1 and 0.9 < x.max() <= 1
        assert all(image.std() > 0.02 for image in x)
    assert data.mean is None
    np.testing.assert_array_equal(data.pixels(data.x_val), data.x_val)


def test_standardized_images_have_mean_0_and_deviation_1_in_each_channel_and_go_back_to_pixels() -> None:
    for data, plain in (
        (drawing(500, dtype=np.float64), drawing(500, dtype=np.float64, standardize=False))
        for drawing in (ds.glyphs, ds.textures)
    ):
        np.testing.assert_allclose(data.x_train.mean(axis=(0, 2, 3)), 0, atol=1e-12)
        np.testing.assert_allclose(data.x_train.std(axis=(0, 2, 3)), 1, atol=1e-12)
        np.testing.assert_allclose(data.pixels(data.x_test), plain.x_test, atol=1e-12)
        rows = data.flat
        np.testing.assert_allclose(rows.pixels(rows.x_test).reshape(plain.x_test.shape), plain.x_test, atol=1e-12)
    digits = nnlab.digits()
    assert digits.classes == tuple("0123456789")
    levels = digits.pixels(digits.x_train) * 16
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert levels.max() == pytest.approx(16)


def small_net(channels: int, classes: int) -> Sequential:
    rng = np.random.default_rng(0)

    def layer(inputs: int, filters: int) -> list[Any]:
        norm = Norm(norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward, filters)
        return [Conv2d(inputs, filters, 3, rng), norm, ReLU(), MaxPool2d(2)]

    return Sequential([*layer(channels, 8), *layer(8, 16), Flatten(), Affine(16 * 4 * 4, classes, rng)])


@pytest.mark.parametrize(
    ("drawing", "options", "epochs", "accuracy"),
    [(ds.glyphs, {}, 4, 0.85), (ds.textures, {"colour": False}, 4, 0.85), (ds.textures, {}, 8, 0.75)],
    ids=["glyphs", "grey textures", "colour textures"],
)
def test_a_small_net_tells_all_classes_apart(drawing: Draw, options: Any, epochs: int, accuracy: float) -> None:
    data = drawing(6000, **options)
    net = small_net(data.x_train.shape[1], len(data.classes))
    steps = epochs * len(data.x_train) // 50
    nnlab.train(net, data, steps=steps, batch_size=50, schedule=lambda t: 0.03 * (1 - t / steps), progress=False)
    right = net.predict(data.x_test) == data.y_test
    assert right.mean() > accuracy
    assert all(right[data.y_test == label].mean() > 0.4 for label in range(len(data.classes)))


def test_ten_thousand_images_take_a_few_seconds(draw: Draw) -> None:
    start = time.process_time()
    assert len(draw(10_000, size=16).x_train) == 7000
    assert time.process_time() - start < 5


def upright(characters: str, **options: Any) -> dict[str, np.ndarray]:
    """Character -> its image (size, size) without distortion, noise, or change of face."""
    options = {"faces": ["Sans"], "size": 32, **options}
    data = ds.glyphs(200, characters=characters, distortion=0, noise=0, standardize=False, dtype=np.float64, **options)
    return {name: data.x_train[data.y_train == label][0, 0] for label, name in enumerate(data.classes)}


def test_glyphs_stand_upright_in_the_middle_and_read_from_left_to_right() -> None:
    images = upright("LTFo")
    down, right = np.mgrid[:32, :32] - 15.5
    for letter, below, to_the_right in (("L", True, False), ("T", False, None), ("F", False, False)):
        image = images[letter]
        assert ((image * down).sum() > 0) == below, letter
        if to_the_right is None:
            np.testing.assert_allclose(image, image[:, ::-1], atol=1e-3)
        else:
            assert ((image * right).sum() > 0) == to_the_right, letter
        inked = np.flatnonzero(image.max(axis=1) > 0.5)
        assert 15 <= (inked[0] + inked[-1]) / 2 <= 16 and 18 <= len(inked) <= 21  # three fifths of 32 rows
    assert len(np.flatnonzero(images["o"].max(axis=1) > 0.5)) < 17
    assert images["o"][17:19, 15:17].max() == 0, "the hole in the o is filled"


def test_each_face_draws_differently_and_bold_has_more_ink() -> None:
    drawn = {face: upright("RS", faces=[face])["R"] for face in ds.FACES}
    assert len({image.tobytes() for image in drawn.values()}) == len(ds.FACES) == 12
    for plain in ("Sans", "SansMono", "Serif"):
        assert drawn[f"{plain}-Bold"].sum() > 1.2 * drawn[plain].sum()


def test_the_same_glyph_in_two_sizes_has_the_same_share_of_ink() -> None:
    shares = [upright("BR", size=size)["B"].mean() for size in (16, 32, 64)]
    np.testing.assert_allclose(shares, shares[0], rtol=0.02)


def test_filling_follows_the_non_zero_rule() -> None:
    def loop(low: float, high: float, backward: bool = False) -> np.ndarray:
        corners = np.array([(low, low), (low, high), (high, high), (high, low)])[:: -1 if backward else 1]
        edges = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
        return edges[edges[:, 0, 1] != edges[:, 1, 1]]

    overlapping = lettering._filled(np.concatenate([loop(0.25, 0.75), loop(0.5, 1.0)]), 8, 4)
    assert overlapping.sum() == 16 + 16 - 4
    with_hole = lettering._filled(np.concatenate([loop(0.125, 0.875), loop(0.25, 0.75, backward=True)]), 8, 4)
    assert with_hole.sum() == 36 - 16 and with_hole[4, 4] == 0 and with_hole[1, 4] == 1
    around = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([0.5 + 0.4 * np.cos(around), 0.5 + 0.4 * np.sin(around)], axis=1)
    disc = lettering._filled(np.stack([circle, np.roll(circle, -1, axis=0)], axis=1)[:-1], 16, 8)
    assert disc.mean() == pytest.approx(np.pi * 0.16, rel=0.005)


def test_classes_can_be_chosen_and_keep_their_order() -> None:
    assert ds.glyphs(50, characters="zα7").classes == ("z", "α", "7")
    assert ds.textures(50, kinds=["rings", "dots"]).classes == ("rings", "dots")
    assert len(ds.textures(100).classes) == 10 and len(ds.glyphs(200).classes) == 34


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ds.glyphs(100, characters="A的"), "has no character '的'"),
        (lambda: ds.glyphs(100, characters="A "), "leaves no ink"),
        (lambda: ds.glyphs(100, characters="AA"), "two or more different classes"),
        (lambda: ds.glyphs(100, characters="A"), "two or more different classes"),
        (lambda: ds.glyphs(100, faces=["Comic"]), "no face 'Comic'; there are Sans, "),
        (lambda: ds.glyphs(100, size=4), "size=4: images of at least 8 × 8"),
        (lambda: ds.textures(100, kinds=["dots", "tartan"]), "no texture tartan; there are stripes, "),
        (lambda: ds.textures(100, validation=50, test=50), "leaves 0 images to train on"),
        (lambda: ds.glyphs(100, validation=-1), "validation=-1"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# The set that ships


def test_the_small_glyphs_are_split_evenly_and_look_like_the_drawn_ones() -> None:
    data = nnlab.glyphs_small()
    assert str(data) == "glyphs_small: 680 train, 340 validation, 340 test, images (1, 16, 16)"
    assert data.classes == tuple(ds.CHARACTERS)
    for part, number in zip(SPLIT, (20, 10, 10), strict=True):
        assert set(np.bincount(getattr(data, f"y_{part}"))) == {number}
    pixels = nnlab.glyphs_small(standardize=False, dtype=np.float64).x_train
    np.testing.assert_allclose(pixels * 15, np.rint(pixels * 15), atol=1e-9)
    assert pixels.min() == 0 and pixels.max() == 1


def test_its_script_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.spec_from_file_location("make_glyphs", ROOT / "data" / "make_glyphs.py")
    assert found and found.loader
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    monkeypatch.setattr(script, "SMALL", tmp_path / "glyphs-16x16.npz")
    monkeypatch.setattr(files, "SUMS", tmp_path / "SHA256SUMS")
    script.main()
    with np.load(tmp_path / "glyphs-16x16.npz") as made, np.load(lettering.SMALL) as shipped:
        assert made.files == shipped.files
        for name in shipped.files:  # another machine's sine may push a pixel over the edge to the next level
            assert np.mean(made[name] != shipped[name]) < 1e-3


def test_a_damaged_or_missing_small_set_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lettering.SMALL.read_bytes()
    file = tmp_path / lettering.SMALL.name
    monkeypatch.setattr(lettering, "SMALL", file)
    for damaged in (whole[:-1], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"is damaged: .* Get it back with `git checkout -- data`\.$") as caught:
            nnlab.glyphs_small()
        assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    file.unlink()
    with pytest.raises(DataError, match="is missing"):
        nnlab.glyphs_small()
    file.write_bytes(whole)
    assert len(nnlab.glyphs_small().x_train) == 680


def test_what_ships_is_small_and_listed_with_its_checksum() -> None:
    listed = dict(reversed(line.split()) for line in files.SUMS.read_text().splitlines())
    for name, known in listed.items():
        file = ROOT / "data" / str(name)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == known
        assert file.stat().st_size < 200_000
    assert set(listed) == {path.name for path in (ROOT / "data").glob("*.npz")}


def test_a_notebook_shows_the_message_of_a_data_error_and_no_traceback() -> None:
    assert DataError("this is damaged")._render_traceback_() == ["DataError: this is damaged"]


# Downloads


@dataclass
class Server:
    """Serves `files` on this machine, and notes what it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # name and Range header
    encodings: list[str | None] = field(default_factory=list)  # Accept-Encoding headers
    cut: int | None = None  # hang up after so many bytes of a body
    ranges: bool = True  # answers range requests
    sent: int = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(fetching.VARIABLE, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            state.asked.append((name, wanted))
            state.encodings.append(self.headers.get("Accept-Encoding"))
            if name not in state.files:
                self.send_error(404)
                return
            body, start = state.files[name], 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            part = body[start:][: state.cut]
            state.sent += len(part)
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{listening.server_port}/")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    listening.shutdown()
    thread.join()
    listening.server_close()


WHOLE = np.random.default_rng(0).bytes(300_000)
SUM = "sha256:" + hashlib.sha256(WHOLE).hexdigest()


def fetch(server: Server, directory: Path, **changes: Any) -> Path:
    given: dict[str, Any] = {"addresses": [server.url], "checksum": SUM, "most": 10**6, "instead": "digits()"}
    return fetching.fetch("file.gz", directory, **(given | changes))


def test_a_file_is_downloaded_once_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE
    for _ in range(3):
        assert fetch(server, tmp_path / "new").read_bytes() == WHOLE
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.gz"]


@pytest.mark.parametrize("damaged", [WHOLE[:-1], WHOLE[:-1] + b"?", b""], ids=["truncated", "one byte", "empty"])
def test_a_damaged_file_is_fetched_again(server: Server, tmp_path: Path, damaged: bytes) -> None:
    server.files["file.gz"] = WHOLE
    (tmp_path / "file.gz").write_bytes(damaged)
    assert fetch(server, tmp_path).read_bytes() == WHOLE


def test_what_is_not_the_published_file_never_counts(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE[::-1]
    with pytest.raises(DataError, match="what came is not the published file"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == [] and len(server.asked) == 1


def test_a_download_that_broke_off_is_no_file_and_the_next_call_asks_for_the_rest_only(
    server: Server, tmp_path: Path
) -> None:
    server.files["file.gz"], server.cut = WHOLE, 200_000
    with pytest.raises(DataError, match=r"broke after 0\.2 of 0\.3 MB; the next call goes on from there"):
        fetch(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz.part"]
    server.cut = None
    assert fetch(server, tmp_path).read_bytes() == WHOLE
    (_, first), (_, second) = server.asked
    assert first is None and second is not None and second.startswith("bytes=1")  # 100,000 bytes or more are kept
    assert server.sent < 200_000 + len(WHOLE)
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]


def test_a_server_that_cannot_resume_sends_all_of_it_again(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"], server.ranges = WHOLE, False
    (tmp_path / "file.gz.part").write_bytes(WHOLE[:1000])
    assert fetch(server, tmp_path).read_bytes() == WHOLE
    assert server.asked == [("file.gz", "bytes=1000-")]


def test_an_answer_that_ends_early_without_an_error_is_kept_as_a_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 1.26 does not compare what arrived with Content-Length."""

    class Answer(nullcontext[Any]):
        status_code, headers = 200, {"Content-Length": str(len(WHOLE))}

        def __enter__(self) -> Any:
            return self

        def raise_for_status(self) -> None: ...

        def iter_content(self, size: int) -> Iterator[bytes]:
            yield WHOLE[:1000]

    monkeypatch.setattr("requests.get", lambda *_, **__: Answer())
    with pytest.raises(DataError, match="the connection broke after"):
        fetching.fetch("file.gz", tmp_path, ["http://127.0.0.1:9/"], SUM, 10**6, "digits()")
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz.part"]
    assert (tmp_path / "file.gz.part").read_bytes() == WHOLE[:1000]


def test_servers_are_asked_not_to_pack_or_unpack_on_the_way(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE
    fetch(server, tmp_path)
    assert server.encodings == ["identity"]


@pytest.mark.parametrize(
    "begun", [b"rubbish" * 100, WHOLE + b"more", WHOLE], ids=["rubbish", "too long", "complete but not moved"]
)
def test_a_begun_download_that_is_worth_nothing_is_thrown_away(server: Server, tmp_path: Path, begun: bytes) -> None:
    server.files["file.gz"] = WHOLE
    (tmp_path / "file.gz.part").write_bytes(begun)
    assert fetch(server, tmp_path).read_bytes() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]


def test_the_next_address_is_tried_and_takes_over_what_the_first_one_gave(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE
    assert fetch(server, tmp_path, addresses=[server.url + "gone", server.url]).read_bytes() == WHOLE
    with pytest.raises(DataError, match=r"gone/file\.gz: the server says 404 Not Found"):
        fetch(server, tmp_path / "other", addresses=[server.url + "gone"])


def test_a_file_that_never_ends_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE
    with pytest.raises(DataError, match="more than 0 MB"):
        fetch(server, tmp_path, most=100_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_offline_the_message_says_where_to_put_the_file_and_what_to_use_instead(server: Server, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/"  # the discard port: nothing listens there
    with pytest.raises(DataError) as caught:
        nnlab.mnist(tmp_path, base_url=nobody)
    first, second = str(caught.value).splitlines()
    assert "train-images-idx3-ubyte.gz can't be downloaded" in first and "are you offline?" in first
    assert str(tmp_path / "mnist") in second and "NNLAB_DATA" in second and "digits() or glyphs()" in second
    assert caught.value.__suppress_context__
    with pytest.raises(DataError, match=r"(?s)cifar-10-python\.tar\.gz .* textures\(\) or photos\(\)"):
        nnlab.cifar10(tmp_path, base_url=nobody)
    (tmp_path / "file.gz").write_bytes(WHOLE[:10])
    with pytest.raises(DataError, match=r"is damaged and file\.gz can't be downloaded"):
        fetch(server, tmp_path, addresses=[nobody])


def test_a_directory_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = WHOLE
    (tmp_path / "occupied").write_text("a file, not a directory")
    with pytest.raises(DataError, match=r"occupied/file\.gz can't be written: .*NNLAB_DATA"):
        fetch(server, tmp_path / "occupied")


def test_the_directory_comes_from_the_argument_the_environment_or_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path))
    assert ds.data_directory() == tmp_path
    assert ds.data_directory(tmp_path / "x") == tmp_path / "x"
    monkeypatch.delenv("NNLAB_DATA")
    assert ds.data_directory() == ROOT / "data" / "downloads"
    assert "/data/downloads/" in (ROOT / ".gitignore").read_text().splitlines()


def test_progress_is_shown_when_wanted_and_nothing_is_written_otherwise(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.files["file.gz"] = WHOLE
    fetch(server, tmp_path / "quiet")
    with pytest.raises(DataError):
        fetch(server, tmp_path / "quiet too", addresses=[server.url + "gone"])
    assert capfd.readouterr() == ("", "")
    fetch(server, tmp_path / "watched", progress=True)
    assert "file.gz" in capfd.readouterr().err


# MNIST


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    return gzip.compress(
        bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def made_up_mnist() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 300), ("t10k", 50)):
        files[f"{name}-images-idx3-ubyte.gz"] = idx(rng.integers(0, 256, (count, 28, 28), np.uint8))
        files[f"{name}-labels-idx1-ubyte.gz"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def sums(files: dict[str, bytes]) -> dict[str, str]:
    return {name: "md5:" + hashlib.md5(whole).hexdigest() for name, whole in files.items()}


@real_images
def test_the_real_mnist_is_downloaded_and_read(server: Server, tmp_path: Path) -> None:
    server.files = {path.name: path.read_bytes() for path in (REAL / "mnist").glob("*.gz")}
    packed_again = "train-images-idx3-ubyte.gz"  # the other three have their published checksums
    checksums = {**published.MNIST_CHECKSUMS, packed_again: sums(server.files)[packed_again]}
    data = nnlab.mnist(tmp_path, base_url=server.url, checksums=checksums, standardize=False)
    assert str(data) == "mnist: 55000 train, 5000 validation, 10000 test, images (1, 28, 28)"
    assert data.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    labels = np.concatenate([data.y_train, data.y_val])
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.x_train.dtype == np.float32 and data.x_train.min() == 0 and data.x_train.max() == 1
    pixels = np.concatenate([data.x_train, data.x_val])
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=1e-4)  # the well-known numbers
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=1e-4)
    # Rows are rows: the first test image is a seven, with a bar at the top left and nothing below it.
    assert data.x_test[0, 0, 7, 6:12].min() > 0.1 and data.x_test[0, 0, 12:, :9].max() == 0

    asked = len(server.asked)
    few = nnlab.mnist(tmp_path, train=2000, test=500, base_url=server.url, checksums=checksums)
    assert len(server.asked) == asked == 4
    assert str(few) == "mnist: 2000 train, 5000 validation, 500 test, images (1, 28, 28)"
    np.testing.assert_array_equal(few.y_train, data.y_train[:2000])
    np.testing.assert_allclose(few.pixels(few.x_train), data.x_train[:2000], atol=1e-6)
    net = nnlab.mlp([784, 64, 10], rng=0)
    nnlab.train(net, few.flat, epochs=10, progress=False)
    assert net.accuracy(few.flat.x_test, few.y_test) > 0.85


def test_mnist_placed_by_hand_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = made_up_mnist()
    (tmp_path / "mnist").mkdir()
    for name, whole in files.items():
        (tmp_path / "mnist" / name).write_bytes(whole)
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path))
    options: Any = {"base_url": "http://127.0.0.1:9/", "checksums": sums(files), "standardize": False}
    data = nnlab.mnist(validation=0.1, **options)
    assert str(data) == "mnist: 270 train, 30 validation, 50 test, images (1, 28, 28)"
    again, other = (nnlab.mnist(validation=0.1, seed=seed, **options) for seed in (0, 1))
    np.testing.assert_array_equal(data.x_train, again.x_train)
    assert not np.array_equal(data.y_train, other.y_train)
    # Each image keeps its label, and each is in one part only.
    images = np.frombuffer(gzip.decompress(files["train-images-idx3-ubyte.gz"])[16:], np.uint8).reshape(300, -1)
    label_of = {image.tobytes(): index % 10 for index, image in enumerate(images)}
    for part in ("train", "val"):
        flat = getattr(data.flat, f"x_{part}")
        for row, label in zip(np.rint(flat * 255).astype(np.uint8), getattr(data, f"y_{part}"), strict=True):
            assert label_of.pop(row.tobytes()) == label
    assert not label_of
    with pytest.raises(ValueError, match="train=271: mnist has 1 to 270 such images"):
        nnlab.mnist(train=271, validation=30, **options)
    with pytest.raises(ValueError, match="leaves 0 images to train on"):
        nnlab.mnist(validation=300, **options)


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (b"not packed at all", "can't be unpacked"),
        (idx(np.zeros((5, 28, 28), np.uint8))[:-9], "can't be unpacked"),
        (idx(np.zeros((5, 28, 28), np.uint8), kind=13), "is not an IDX file of bytes with 3 axes"),
        (idx(np.zeros(5, np.uint8)), "is not an IDX file of bytes with 3 axes"),
        (gzip.compress(b""), "is not an IDX file"),
        (idx(np.zeros((5, 32, 32), np.uint8)), r"says \(5, 32, 32\)"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 28, 28)), r"says \(4294967295, 28, 28\)"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 9, 28, 28) + b"\0" * 100), "but has 100"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1, 28, 28) + b"\0" * 10**6), "has 785 or more"),
    ],
    ids=["not packed", "cut short", "floats", "labels", "empty", "other size", "huge", "too short", "too long"],
)
def test_a_wrong_idx_file_is_named_in_one_line(server: Server, tmp_path: Path, whole: bytes, message: str) -> None:
    server.files = made_up_mnist() | {"train-images-idx3-ubyte.gz": whole}
    with pytest.raises(DataError, match=message) as caught:
        nnlab.mnist(tmp_path, base_url=server.url, checksums=sums(server.files))
    assert "\n" not in str(caught.value) and "train-images-idx3-ubyte.gz" in str(caught.value)


def test_images_and_labels_that_do_not_belong_together_are_refused(server: Server, tmp_path: Path) -> None:
    for labels in (np.zeros(299, np.uint8), np.full(300, 10, np.uint8)):
        server.files = made_up_mnist() | {"train-labels-idx1-ubyte.gz": idx(labels)}
        with pytest.raises(DataError, match="300 images with"):
            nnlab.mnist(tmp_path, base_url=server.url, checksums=sums(server.files))


# CIFAR-10


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes what Python 2 wrote in 2009, when CIFAR-10 was published: all strings are byte strings, protocol 2."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _save_string(self, text: bytes | str) -> None:
        raw = text.encode() if isinstance(text, str) else text
        short = len(raw) < 256
        self.write((pickle.SHORT_BINSTRING + bytes([len(raw)]) if short else b"T" + struct.pack("<i", len(raw))) + raw)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = _save_string


def published_pickle(batch: dict[str, Any]) -> bytes:
    written = io.BytesIO()
    _Python2Pickler(written, 2).dump(batch)
    return written.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch_of(images: np.ndarray, labels: np.ndarray, number: int = 1) -> dict[str, Any]:
    return {
        "batch_label": f"training batch {number} of 5",
        "labels": labels.tolist(),
        "data": images.reshape(len(images), 3072),
        "filenames": [f"image_s_{index:06d}.png" for index in range(len(images))],
    }


def archive_of(batches: dict[str, bytes], folder: str = "cifar-10-batches-py/") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, whole in {"batches.meta": b"unread", "readme.html": b"unread", **batches}.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(whole)
            archive.addfile(member, io.BytesIO(whole))
    return packed.getvalue()


def made_up_batches() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(0)
    return {
        name: batch_of(rng.integers(0, 256, (20, 3072), np.uint8), np.arange(20) % 10, number)
        for number, name in enumerate(published._BATCHES)
    }


def load_cifar10(server: Server, directory: Path, archive: bytes, **options: Any) -> nnlab.Data:
    server.files = {"cifar-10-python.tar.gz": archive}
    return nnlab.cifar10(directory, base_url=server.url, checksums=sums(server.files), **options)


@real_images
def test_real_cifar10_images_come_back_from_an_archive_as_it_was_published(server: Server, tmp_path: Path) -> None:
    with np.load(REAL / "cifar-10" / "cifar10_lossless_subset.npz", allow_pickle=False) as file:
        assert tuple(file["names"]) == ds.CIFAR10_CLASSES
        x_train, y_train, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    parts = np.array_split(np.arange(len(x_train)), 5)
    batches = {f"data_batch_{i + 1}": batch_of(x_train[part], y_train[part], i + 1) for i, part in enumerate(parts)}
    batches["test_batch"] = batch_of(x_test, y_test)
    pickles = {name: published_pickle(batch) for name, batch in batches.items()}
    assert pickles["test_batch"].startswith(b"\x80\x02}q\x00(U\x0bbatch_label")  # as the published ones begin

    data = load_cifar10(server, tmp_path, archive_of(pickles), standardize=False, validation=728)
    assert str(data) == "cifar10: 7000 train, 728 validation, 846 test, images (3, 32, 32)"
    np.testing.assert_array_equal(np.rint(data.x_test * 255), x_test)
    np.testing.assert_array_equal(data.y_test, y_test)
    found = np.rint(255 * np.concatenate([data.x_train, data.x_val])).astype(np.uint8)
    labels = np.concatenate([data.y_train, data.y_val])
    assert labels.dtype == np.int64
    assert Counter(zip(map(bytes, found), labels, strict=True)) == Counter(
        zip(map(bytes, x_train), y_train, strict=True)
    )
    standard = load_cifar10(server, tmp_path, archive_of(pickles), train=1000, test=100, validation=100)
    assert standard.x_train.shape == (1000, 3, 32, 32) and standard.x_test.shape == (100, 3, 32, 32)
    np.testing.assert_allclose(standard.x_train.mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-4)
    np.testing.assert_allclose(standard.x_train.std(axis=(0, 2, 3), dtype=np.float64), 1, atol=1e-4)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_pickled_by_a_newer_python_can_be_read_if_nothing_is_called(
    server: Server, tmp_path: Path, protocol: int
) -> None:
    """Protocol 2 writes bytes as a call of _codecs.encode, and protocol 5 arrays as one of _frombuffer."""
    pickles = {
        name: pickle.dumps({key.encode(): value for key, value in batch.items()}, protocol)
        for name, batch in made_up_batches().items()
    }
    if protocol in (2, 5):
        with pytest.raises(DataError, match="is refused"):
            load_cifar10(server, tmp_path, archive_of(pickles), validation=10)
    else:
        assert len(load_cifar10(server, tmp_path, archive_of(pickles), validation=10).x_train) == 90


def test_columns_first_arrays_are_turned_the_right_way(server: Server, tmp_path: Path) -> None:
    batches = made_up_batches()
    wanted = batches["test_batch"]["data"]
    batches["test_batch"]["data"] = np.asfortranarray(wanted)
    archive = archive_of({name: published_pickle(batch) for name, batch in batches.items()})
    data = load_cifar10(server, tmp_path, archive, validation=10, standardize=False)
    np.testing.assert_array_equal(np.rint(data.flat.x_test * 255), wanted)


class _Evil:
    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def evil_pickles(trace: Path) -> dict[str, bytes]:
    command = f"touch {trace}"
    return {
        "os.system": published_pickle({"data": _Evil(os.system, command)}),
        "os.system, protocol 4": pickle.dumps(_Evil(os.system, command), 4),
        "eval": pickle.dumps(_Evil(eval, f"open({str(trace)!r}, 'w')"), 2),
        "getattr": pickle.dumps(_Evil(getattr, np.ndarray, "tofile"), 2),
        "old INST": f"(S'{command}'\nios\nsystem\n.".encode(),
        "old OBJ": f"(cos\nsystem\nS'{command}'\no.".encode(),
        "the module of a permitted name": b"cnumpy\nos\n.",
        "a name with a dot": b"cnumpy\nndarray.tofile\n.",
        "a far place in the memory": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "a long bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    }


@pytest.mark.parametrize("name", evil_pickles(Path("x")))
def test_a_malicious_pickle_is_refused_and_nothing_runs(server: Server, tmp_path: Path, name: str) -> None:
    trace = tmp_path / "trace"
    pickles = {batch: published_pickle(whole) for batch, whole in made_up_batches().items()}
    pickles["data_batch_3"] = evil_pickles(trace)[name]
    with pytest.raises(
        DataError, match=r"data_batch_3 is not as published: .*( is refused|, but only .* remain)$"
    ) as caught:
        load_cifar10(server, tmp_path, archive_of(pickles))
    assert not trace.exists() and "\n" not in str(caught.value)


def test_the_malicious_pickle_would_have_worked_on_the_ordinary_unpickler(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickle.loads(evil_pickles(trace)["os.system"])
    assert trace.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((20, 3071), np.uint8)}, r"the shape \(20, 3071\)"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, r"the shape \(0, 3072\)"),
        ({"data": np.zeros((20, 3072), np.float32)}, "of type b'f4', not bytes"),
        ({"data": np.array([["an object"]], dtype=object)}, "of type b'O8', not bytes"),
        ({"data": "text"}, "no attribute 'array'"),
        ({"labels": [10] * 20}, "its labels are not 20 numbers from 0 to 9"),
        ({"labels": [0] * 19}, "its labels are not 20 numbers"),
        ({"labels": [0.5] * 20}, "refused"),
        ({"labels": [[0]] * 20}, "its labels are not 20 numbers"),
    ],
)
def test_a_batch_that_is_not_as_published_is_refused(
    server: Server, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    batches = made_up_batches()
    batches["data_batch_2"] |= change
    archive = archive_of({name: published_pickle(batch) for name, batch in batches.items()})
    with pytest.raises(DataError, match=f"data_batch_2 is not as published: .*{message}"):
        load_cifar10(server, tmp_path, archive)


def test_an_archive_is_never_unpacked_to_the_disk_and_lacks_are_named(server: Server, tmp_path: Path) -> None:
    pickles = {name: published_pickle(batch) for name, batch in made_up_batches().items()}
    away = tmp_path / "downloads"
    archive = archive_of({**pickles, "../../../escaped": b"x"})
    assert len(load_cifar10(server, away, archive, validation=10).x_train) == 90
    assert [path.name for path in away.iterdir()] == ["cifar-10-python.tar.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]

    del pickles["data_batch_4"], pickles["test_batch"]
    with pytest.raises(DataError, match=r"lacks data_batch_4, test_batch$"):
        load_cifar10(server, away, archive_of(pickles))
    with pytest.raises(DataError, match="can't be unpacked"):
        load_cifar10(server, away, archive[:-2000])
    with pytest.raises(DataError, match="can't be unpacked"):
        load_cifar10(server, away, b"no archive")


def test_a_link_in_place_of_a_batch_is_not_followed(server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="lacks data_batch_1"):
        load_cifar10(server, tmp_path, packed.getvalue())


def test_an_archive_that_swells_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(published._BATCH_BYTES + 1)
    with pytest.raises(DataError, match="more than a batch can have"):
        load_cifar10(server, tmp_path, archive_of({"data_batch_1": zeros}))
    monkeypatch.setattr(published, "_ARCHIVE_BYTES", 20 << 20)
    with pytest.raises(DataError, match="larger than the published archive"):
        load_cifar10(server, tmp_path, archive_of({"something else": zeros}))
