"""python -m core_code.predict of clips: times, faces that keep their numbers, probabilities, files, refusals."""

import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_faces import smooth_faces

from core_code import Classifier, predict
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.models.emotion_net import EmotionNet
from core_code.prediction import clip_files
from core_code.prediction.clips import until_interrupted

av = pytest.importorskip("av")

FACES = smooth_faces(6)
COLOUR = [np.repeat(face[:, :, None], 3, axis=2) for face in FACES]
TIMES = [0, 0.04, 0.08, 0.2, 0.5, 0.54]  # a variable rate
CHECKPOINT = "checkpoints/ckpt_small_A_best_validation.pth"


@pytest.fixture
def run(tmp_path, monkeypatch, small) -> Callable[..., None]:
    """A working folder with a trained net; `run(...)` predicts with it."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = EmotionNet(small).eval()
    torch.nn.init.normal_(net.head.weight, std=5)
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history")}
    state = {**rest, "net": net.state_dict(), "epoch": 1, "settings": {"image_size": 32}}
    CheckpointFiles(tmp_path / "checkpoints", small, "A").save("best_validation", state)
    own = ["--checkpoint", CHECKPOINT, "--precision", "fp32", "--device", "cpu"]
    return lambda *arguments: predict.main([*arguments, *own])


def write_clip(
    path: Path | str, pictures: Sequence[np.ndarray], times: Sequence[float] | None = None, format: str | None = None,
    codec: str = "mpeg4", turned: int = 0,
) -> Path:  # fmt: skip
    """A clip of pictures uint8 [H,W,3], at these seconds, or 25 of them a second."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25, pix_fmt="yuv420p", bit_rate=8_000_000)
        stream.height, stream.width = pictures[0].shape[:2]
        ticks = 1000 if times else 25
        stream.codec_context.time_base = Fraction(1, ticks)
        if turned:
            stream.set_display_rotation(turned)
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = round(ticks * times[place]) if times else place, Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Path(path)


def decode(path: Path | str) -> tuple[list[float], list[np.ndarray]]:
    """The seconds and pictures of a clip."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [float(frame.time) for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def chances(rows: Sequence[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[emotion]) for emotion in EMOTIONS] for row in rows])


def end(run: Callable[..., None], *arguments: str) -> int | str | None:
    """The status with which the command ends on an error."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: run(*arguments))
    return ended.value.code


def test_two_moving_faces_keep_their_numbers_and_get_the_classifiers_probabilities(run, monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "EmotionGAN")
    import scenes

    places = [((160 + 6 * i, 230), (480 - 5 * i, 250 - 4 * i)) for i in range(14)]
    times = [round(0.05 * i + (0.3 if i > 8 else 0), 3) for i in range(14)]
    write_clip("clip.mp4", [scenes.scene(each) for each in places], times)
    run("clip.mp4", "--csv", "out.csv", "--json", "out.json", "--draw", "drawn", "--curves", "out.png")
    rows = rows_of("out.csv")
    assert [(int(row["frame"]), int(row["face"])) for row in rows] == [(i, face) for i in range(14) for face in (1, 2)]
    assert [float(row["time"]) for row in rows] == pytest.approx(np.repeat(times, 2).tolist())
    _, pictures = decode("clip.mp4")
    crops = []
    for row in rows:
        edges = [int(row[side]) for side in ("left", "top", "right", "bottom")]
        x, y = places[int(row["frame"])][int(row["face"]) - 1]
        assert abs((edges[0] + edges[2]) / 2 - x) < 25 and abs((edges[1] + edges[3]) / 2 - y) < 25
        assert 100 < edges[2] - edges[0] == edges[3] - edges[1] < 250
        grey = Image.fromarray(pictures[int(row["frame"])]).convert("L").crop(edges)
        crops.append(np.array(grey.resize((48, 48), Image.Resampling.BICUBIC)))
    expected = Classifier.load(CHECKPOINT, "cpu", "fp32").probabilities(crops)
    np.testing.assert_allclose(chances(rows), expected, atol=1e-5)
    assert [row["emotion"] for row in rows] == [EMOTIONS[k] for k in expected.argmax(1)]
    faces = json.loads(Path("out.json").read_text())["faces"]
    for face in faces:
        of_face = expected[face["face"] - 1 :: 2]
        assert (face["from"], face["to"], face["frames"]) == (0, pytest.approx(times[-1]), 14)
        assert [face[emotion] for emotion in EMOTIONS] == pytest.approx(of_face.mean(0).tolist(), abs=1e-5)
        assert face["emotion"] == EMOTIONS[of_face.mean(0).argmax()]
    drawn_times, drawn = decode("drawn/clip_predicted.mp4")
    assert drawn_times == pytest.approx(times, abs=2e-3) and drawn[0].shape == (480, 640, 3)
    assert np.abs(drawn[0][-40:].astype(int) - pictures[0][-40:]).mean() < 4
    assert np.abs(drawn[0].astype(int) - pictures[0]).max() > 100
    with Image.open("out.png") as image:
        assert image.format == "PNG" and image.width > 1000


def test_frames_that_are_one_face_each_and_times_of_a_variable_rate(run, capsys):
    write_clip("clip.mkv", COLOUR, TIMES)
    run("clip.mkv", "--face_detector", "none", "--csv", "out.csv")
    rows = rows_of("out.csv")
    assert [float(row["time"]) for row in rows] == pytest.approx(TIMES)
    assert [row["face"] for row in rows] == ["1"] * 6
    expected = Classifier.load(CHECKPOINT, "cpu", "fp32").probabilities(decode("clip.mkv")[1])
    np.testing.assert_allclose(chances(rows), expected, atol=1e-5)
    assert "frames" in capsys.readouterr().out


def test_smoothing_is_an_exponential_average_over_time(run):
    write_clip("clip.mkv", COLOUR, TIMES)
    run("clip.mkv", "--face_detector", "none", "--csv", "raw.csv")
    run("clip.mkv", "--face_detector", "none", "--csv", "out.csv", "--smooth", "0.1", "--detect_every", "2")
    raw, smooth = chances(rows_of("raw.csv")), chances(rows_of("out.csv"))
    average = raw[0]
    for place in range(1, 6):
        kept = np.exp(-(TIMES[place] - TIMES[place - 1]) / 0.1)
        average = kept * average + (1 - kept) * raw[place]
        np.testing.assert_allclose(smooth[place], average, atol=1e-9)


def test_between_predictions_the_last_one_stands(run):
    write_clip("clip.mkv", COLOUR, TIMES)
    run("clip.mkv", "--face_detector", "none", "--csv", "raw.csv")
    run("clip.mkv", "--face_detector", "none", "--csv", "out.csv", "--predict_every", "3", "--detect_every", "2")
    raw = chances(rows_of("raw.csv"))
    np.testing.assert_allclose(chances(rows_of("out.csv")), raw[[0, 0, 0, 3, 3, 3]], atol=1e-6)


def test_the_first_seconds_alone(run):
    write_clip("clip.mkv", COLOUR, TIMES).rename("http:ü\udcff.mkv")
    run("http:ü\udcff.mkv", "--face_detector", "none", "--csv", "out.csv", "--seconds", "0.2")
    assert [float(row["time"]) for row in rows_of("out.csv")] == pytest.approx(TIMES[:3])


@pytest.mark.parametrize(
    ("format", "codec"),
    [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"), ("mov", "mpeg4"), ("flv", "flv"),
     ("mpegts", "mpeg2video"), ("asf", "wmv2")],
)  # fmt: skip
def test_clips_are_known_by_their_content(run, format, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec}")
    pictures = [np.kron(picture, np.ones((4, 4, 1), np.uint8)) for picture in COLOUR]
    write_clip("clip.png", pictures, format=format, codec=codec)
    run("clip.png", "--face_detector", "none", "--csv", "out.csv")
    assert [float(row["time"]) for row in rows_of("out.csv")] == pytest.approx([i / 25 for i in range(6)], abs=2e-3)


def test_a_picture_under_the_name_of_a_clip_is_a_picture(run):
    Image.fromarray(FACES[0]).save("clip.mp4", format="AVIF" if "AVIF" in clip_formats() else "PNG")
    run("clip.mp4", "--face_detector", "none", "--csv", "out.csv")
    assert rows_of("out.csv")[0]["picture"] == "clip.mp4"


def clip_formats() -> list[str]:
    Image.init()
    return list(Image.SAVE)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_turned_clips_are_upright(run, turned):
    upright = [np.kron(picture[:40], np.ones((4, 4, 1), np.uint8)) for picture in COLOUR]
    write_clip("turned.mp4", [np.ascontiguousarray(np.rot90(each, -turned // 90)) for each in upright], turned=turned)
    run("turned.mp4", "--face_detector", "none", "--csv", "out.csv", "--draw", "drawn")
    assert (rows_of("out.csv")[0]["right"], rows_of("out.csv")[0]["bottom"]) == ("192", "160")
    with clip_files.open_clip(Path("turned.mp4")) as reader:
        frames = list(reader.frames())
    for frame, picture in zip(frames, upright, strict=True):
        assert np.abs(frame.pixels.astype(int) - picture).mean() < 6


def test_a_damaged_clip_is_predicted_as_far_as_it_can_be_read(run, capsys):
    pictures = [np.kron(picture, np.ones((4, 4, 1), np.uint8)) for picture in COLOUR * 8]
    whole = write_clip("whole.avi", pictures).read_bytes()
    Path("cut.avi").write_bytes(whole[: len(whole) // 2])
    assert end(run, "cut.avi", "--face_detector", "none", "--csv", "out.csv", "--draw", "drawn") == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    count = len(rows_of("out.csv"))
    assert 10 < count < 40 and f"cut.avi: damaged or truncated, {count} frames up to " in line
    assert len(decode("drawn/cut_predicted.mp4")[0]) == count


def test_every_cut_and_every_flip_of_a_byte_ends_in_frames_or_in_one_line(run):
    whole = write_clip("whole.mkv", COLOUR).read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(60):
        data = bytearray(whole[: rng.integers(4, len(whole))] if trial % 2 else whole)
        for place in rng.integers(0, len(data), 3):
            data[place] ^= rng.integers(1, 256)
        Path("bad.mkv").write_bytes(bytes(data))
        try:
            with clip_files.open_clip(Path("bad.mkv")) as reader:
                times = [frame.time for frame in reader.frames()]
            assert times == sorted(times)
        except InputError as error:
            assert str(error).startswith("bad.mkv: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bad.mp4"], "bad.mp4: not a readable clip"),
        (["sound.mp4"], "sound.mp4: no video in it"),
        (["clip.mkv", "face.png"], "clip.mkv: a clip, expected it alone"),
        (["face.png", "--curves", "out.png"], "face.png: no clip"),
        (["clip.mkv", "--csv", "clip.mkv"], "clip.mkv: would be written over"),
        (["clip.mkv", "--csv", "out", "--curves", "out"], "out: --csv and --curves are one file"),
        (["--webcam", "99"], "--webcam 99: no such camera" if sys.platform == "linux" else "--webcam 99: "),
    ],
)
def test_bad_input_is_an_error_of_one_line(run, capsys, arguments, message):
    write_clip("clip.mkv", COLOUR)
    Image.fromarray(FACES[0]).save("face.png")
    Path("bad.mp4").write_bytes(write_clip("whole.mp4", COLOUR).read_bytes()[:60])
    with av.open("sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert end(run, *arguments, "--face_detector", "none") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize("arguments", [[], ["clip.mkv", "--webcam", "0"]])
def test_a_clip_or_a_camera_is_expected(run, capsys, arguments):
    assert end(run, *arguments) == 2
    assert "expected pictures, one clip, or --webcam N" in capsys.readouterr().err


def test_huge_frames_are_refused(run, monkeypatch):
    write_clip("clip.mkv", COLOUR)
    monkeypatch.setattr(clip_files, "LARGEST_PIXELS", 48 * 48 - 1)
    with pytest.raises(InputError, match=r"clip\.mkv: frames of 48x48 pixels, expected at most 2303"):
        run("clip.mkv", "--face_detector", "none")


def test_a_playlist_opens_no_other_file(tmp_path):
    write_clip(tmp_path / "clip.ts", COLOUR, format="mpegts", codec="mpeg2video")
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/clip.ts\n#EXT-X-ENDLIST\n")
    assert not clip_files.is_clip(playlist)
    with pytest.raises(InputError, match="not a readable clip"):
        clip_files.open_clip(playlist)


def test_without_pyav_the_error_says_how_to_get_it(run, monkeypatch):
    write_clip("clip.mkv", COLOUR)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="pip install av"):
        run("clip.mkv")


def test_a_clip_without_a_face_is_an_error_and_nothing_is_written(run):
    pytest.importorskip("dlib")
    write_clip("clip.mkv", [np.full((240, 320, 3), 90, np.uint8)] * 3)
    with pytest.raises(InputError, match=r"clip\.mkv: no face found"):
        run("clip.mkv", "--csv", "out.csv", "--draw", "drawn")
    assert not Path("out.csv").exists() and not list(Path("drawn").iterdir())


def test_an_interrupted_run_leaves_no_part_of_a_file(run, monkeypatch):
    write_clip("clip.mkv", COLOUR)
    write, written = clip_files.ClipWriter.write, []

    def interrupted(writer: clip_files.ClipWriter, *frame) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(writer, *frame))

    monkeypatch.setattr(clip_files.ClipWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("clip.mkv", "--face_detector", "none", "--csv", "out.csv", "--draw", "drawn", "--detect_every", "1")
    assert not Path("out.csv").exists() and not list(Path("drawn").iterdir())


def test_ctrl_c_ends_a_recording_and_nothing_else():
    def camera():
        for place in range(100):
            if place == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield place

    assert list(until_interrupted(camera())) == [0, 1, 2, 3]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
