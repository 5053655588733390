"""The explorer: what its page is given, against the editor and the net themselves, and what it refuses."""

import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from core_code.core_utils.checkpoints import FINAL, TYPES, CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.photos import photographs
from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.transforms import evaluation_view
from core_code.models.emotion_net import EmotionNet
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.explore import __main__ as explore
from EmotionGAN.explore.faces import cut, faces_of_photo, one_of_each_first
from EmotionGAN.explore.server import MOST_THREADS, Explorer, ExplorerServer
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

CPU = torch.device("cpu")
FACES = torch.randint(0, 256, (3, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
ROOT = Path(__file__).parents[2]


def save_tiny(folder, parametrisation="gaussian"):
    torch.manual_seed(1)
    save_generator(folder, build_generator(GeneratorConfig(parametrisation, 16, "grey", 4, 1, framing="fer2013")))
    return folder


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return Editor.load(save_tiny(tmp_path_factory.mktemp("generators") / "tiny"), CPU)


def explorer_of(editor, titles=("a", "b", "c")):
    """An explorer of FACES whose classifier predicts by their brightness."""

    def predict(faces):
        return (faces.float().mean(dim=(1, 2))[:, None] / 100 * torch.arange(7)).softmax(1)

    return Explorer(editor, FACES, list(titles), predict, "brightness")


@pytest.fixture
def serve():
    """`serve(explorer)` starts a server and gives back a function of a path to (status, type, body)."""
    servers = []

    def start(explorer):
        server = ExplorerServer(explorer, 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)

        def get(path, **headers):
            try:
                with urlopen(Request(server.url.rstrip("/") + path, headers=headers), timeout=20) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read()
            except HTTPError as error:
                return error.code, error.headers["Content-Type"], error.read()

        return get

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def picture(body):
    return np.asarray(Image.open(io.BytesIO(body)))


def test_an_edit_is_what_the_editor_makes_of_that_face_at_that_point(editor, serve):
    get = serve(explorer_of(editor))
    for face, x, y in [(0, -1, 1), (2, 0.25, -0.875), (2, 1, 1)]:
        status, kind, body = get(f"/edit?face={face}&x={x}&y={y}")
        expected = editor.edit(FACES[face : face + 1], torch.tensor([[x, y]], dtype=torch.float32))[0]
        assert (status, kind) == (200, "image/png")
        np.testing.assert_array_equal(picture(body), expected.numpy())
    np.testing.assert_array_equal(picture(get("/face?face=1")[2]), FACES[1].numpy())


def test_the_mixture_at_a_point_is_softmax_of_minus_distance(editor, serve):
    get = serve(explorer_of(editor))
    answer = json.loads(get("/prediction?face=0&x=0.5&y=-0.5")[2])
    scores = np.exp(-editor.generator.distances(torch.tensor([[0.5, -0.5]])).double().numpy()[0])
    np.testing.assert_allclose(answer["mixture"], scores / scores.sum(), atol=1e-6)


@pytest.mark.parametrize("parametrisation", ["gaussian", "linear"])
def test_the_page_is_told_where_emotions_lie(tmp_path, serve, parametrisation):
    editor = Editor.load(save_tiny(tmp_path / "mine", parametrisation), CPU)
    get = serve(explorer_of(editor, ["one", "two", "three"]))
    space = json.loads(get("/space")[2])
    assert [emotion["name"] for emotion in space["emotions"]] == list(EMOTIONS)
    centres = [emotion["centre"] for emotion in space["emotions"]]
    np.testing.assert_allclose(centres, editor.generator.centres().numpy(), atol=1e-6)
    assert [face["title"] for face in space["faces"]] == ["one", "two", "three"]
    for emotion in space["emotions"]:
        assert (emotion["ellipse"] is not None) == (parametrisation == "gaussian")
        assert (emotion["axis"] is not None) == (parametrisation == "linear")
    assert space["generator"] == "mine" and space["classifier"] == "brightness"
    assert picture(get("/space.png")[2]).shape == (200, 200, 3)


@pytest.mark.parametrize(
    "path",
    [
        "/edit?face=0&x=0.5", "/edit?face=3&x=0&y=0", "/edit?face=-1&x=0&y=0", "/edit?face=0&x=1.01&y=0",
        "/edit?face=0&x=nan&y=0", "/edit?face=0&x=inf&y=0", "/edit?face=0&x=&y=0", "/edit?face=0&x=0&y=left",
        "/edit?face=0&x=0&y=0&x=0", "/edit?face=0&x=0&y=0&more=1", "/edit?face=%D9%A1&x=0&y=0", "/edit",
        "/edit?face=99999999999999999999&x=0&y=0", "/prediction?face=0&x=-2&y=0", "/face?face=../../etc/passwd",
        "/face?face=one", "/edit?" + "&".join(f"a{i}=1" for i in range(50)), "//[?face=0",
    ],
)  # fmt: skip
def test_a_wrong_request_is_400_and_one_line_of_json(editor, path):
    answer = explorer_of(editor).answer(path)
    assert (answer.status, answer.kind) == (400, "application/json")
    assert set(json.loads(answer.body)) == {"error"} and answer.body.count(b"\n") == 1


def test_other_pages_other_names_and_other_methods_are_refused_and_it_goes_on(editor, serve):
    get = serve(explorer_of(editor))
    assert get("/edit?face=7&x=0&y=0")[:2] == (400, "application/json")
    for path in ("/page.html", "/../explore.py", "/explorer/server.py", "/etc/passwd"):
        assert get(path)[0] == 404
    status, _, body = get("/space", Host="elsewhere.example:7860")
    assert status == 403 and b"127.0.0.1" in body
    assert get("/space", Host="localhost:7860")[0] == 200
    for path, kind in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")]:
        status, found, body = get(path)
        assert status == 200 and found.startswith(kind) and len(body) > 500
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", body), "the page needs no network"


def test_the_server_hears_this_computer_alone(editor):
    with ExplorerServer(explorer_of(editor), 0) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        port = server.server_address[1]
        with pytest.raises(InputError, match=f"--port {port}: cannot be used"):
            ExplorerServer(server.explorer, port)


@pytest.fixture
def checkpoint(tmp_path, small):
    """A checkpoint of an untrained small net for views of 40 pixels, and the net itself."""
    torch.manual_seed(2)
    net = EmotionNet(small)
    state = dict.fromkeys(TYPES, 0) | {"net": net.state_dict(), "settings": {"image_size": 40}}
    return CheckpointFiles(tmp_path, small, "my_run").save(FINAL, state), net.eval()


def test_a_prediction_is_the_nets_softmax_of_the_edit(editor, serve, checkpoint):
    path, net = checkpoint
    predict = explore.load_classifier(path, CPU, torch.float32)
    get = serve(Explorer(editor, FACES, ["a", "b", "c"], predict, path.name))
    edit = picture(get("/edit?face=1&x=0.3&y=0.7")[2])
    answer = json.loads(get("/prediction?face=1&x=0.3&y=0.7")[2])
    space = json.loads(get("/space")[2])
    with torch.no_grad():
        logits = net(evaluation_view(torch.from_numpy(np.stack([edit, FACES[1].numpy()])), 40)).double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(answer["prediction"], expected[0], atol=1e-5)
    np.testing.assert_allclose(space["faces"][1]["prediction"], expected[1], atol=1e-5)
    assert space["classifier"] == "ckpt_small_my_run_final_checkpoint.pth"


def test_faces_of_any_size_are_predicted_at_fer2013s(checkpoint):
    path, net = checkpoint
    predict = explore.load_classifier(path, CPU, torch.float32)
    large = torch.full((1, 96, 96), 77, dtype=torch.uint8)
    with torch.no_grad():
        expected = net(evaluation_view(torch.full((1, 48, 48), 77, dtype=torch.uint8), 40)).softmax(1)
    torch.testing.assert_close(predict(large), expected)


def test_a_classifier_is_any_checkpoint_of_train_model(checkpoint, tmp_path):
    path, net = checkpoint
    other = path.rename(tmp_path / "any name.pth")
    with torch.no_grad():
        expected = net(evaluation_view(FACES, 40)).softmax(1)
    torch.testing.assert_close(explore.load_classifier(other, CPU, torch.float32)(FACES), expected)
    with pytest.raises(InputError, match="no such checkpoint"):
        explore.load_classifier(tmp_path / "missing.pth", CPU, torch.float32)


def test_a_strip_shows_each_emotion_before_any_twice():
    labels = [3, 3, 3, 6, 0, 0, 1, 2, 4, 5, 6, 3, 0, 4, 5]
    assert one_of_each_first(labels) == [4, 6, 7, 0, 8, 9, 3, 5, 1, 13, 14, 10]
    assert one_of_each_first([2, 2, 2]) == [0, 1, 2]


def test_a_photo_is_one_crop_without_a_detector(tmp_path):
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (60, 100, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "photo.png")
    faces = faces_of_photo(tmp_path / "photo.png", "none", "fer2013", 60)
    grey = colours[:, 20:80].astype(float) @ [0.299, 0.587, 0.114]
    assert faces.shape == (1, 60, 60)
    np.testing.assert_allclose(faces[0], grey, atol=1.01)
    turned = Image.fromarray(np.repeat(np.arange(0, 100, dtype=np.uint8)[None], 40, axis=0))
    exif = turned.getexif()
    exif[0x0112] = 6  # turned a quarter: what is right is below
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = faces_of_photo(tmp_path / "turned.png", "none", "fer2013", 40)[0].float()
    assert upright[-1].mean() > upright[0].mean() + 30 and upright[0].std() < 1


def test_faces_that_a_detector_finds_are_cut_as_the_generator_expects(tmp_path, monkeypatch):
    colours = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "two.png")
    boxes = [Box(10, 10, 26, 26), Box(30, 30, 50, 50)]
    monkeypatch.setattr(photographs, "find_faces", lambda picture, where: boxes)
    monkeypatch.setattr(photographs, "crop_box", lambda box, framing: Box(10, 12, 26, 28))
    faces = faces_of_photo(tmp_path / "two.png", "dlib", "dlib", 16)
    assert faces.shape == (2, 16, 16)
    np.testing.assert_allclose(faces[0], colours[12:28, 10:26].astype(float) @ [0.299, 0.587, 0.114], atol=1.01)


def test_a_crop_over_the_border_repeats_the_border():
    colours = np.random.default_rng(2).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    padded = np.pad(colours, ((3, 3), (3, 3), (0, 0)), mode="edge")
    np.testing.assert_array_equal(cut(colours, Box(-2, -3, 4, 3)), padded[:6, 1:7])
    np.testing.assert_array_equal(cut(colours, Box(2, 4, 7, 9)), padded[7:12, 5:10])


@pytest.mark.parametrize(("content", "said"), [(None, "no such picture"), (b"\x89PNG\r\n", "not a readable picture")])
def test_a_photo_that_cannot_be_read_is_one_line(tmp_path, content, said):
    path = tmp_path / "photo.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        faces_of_photo(path, "none", "fer2013", 48)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_ctrl_c_ends_the_command_with_130(tmp_path):
    command = [sys.executable, "-m", "EmotionGAN.explore", "--port", "0", "--generator", save_tiny(tmp_path / "tiny")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/\S+/", line).group()
        assert line.startswith("12 faces, generator tiny")
        with urlopen(address, timeout=20) as page:
            assert b"<title>A face in the space of emotions</title>" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == "\ninterrupted: the page is no longer served\n"


@pytest.mark.parametrize(
    "site, status", [(None, 200), ("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_pages_of_other_sites_are_refused(editor, serve, site, status):
    get = serve(explorer_of(editor))
    headers = {"Sec-Fetch-Site": site} if site else {}
    assert get("/edit?face=0&x=0&y=0", **headers)[0] == status


def test_who_does_not_know_the_printed_address_sees_nothing(editor):
    with ExplorerServer(explorer_of(editor), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root, token = f"http://127.0.0.1:{server.server_address[1]}", server.token
        assert len(token) >= 20 and server.url == f"{root}/{token}/"
        for path in ("/", "/space", "/face?face=0", f"/{token[:-1]}/space", f"/{token}", f"/?token={token}", "/é/"):
            with pytest.raises(HTTPError) as refused:
                urlopen(root + quote(path, safe="/?="), timeout=20)
            assert refused.value.code == 403
        assert urlopen(server.url + "space", timeout=20).status == 200
        server.shutdown()


def test_connections_that_are_kept_open_are_limited_and_the_server_goes_on(editor):
    server = ExplorerServer(explorer_of(editor), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    opened = [socket.create_connection(server.server_address, timeout=20) for _ in range(MOST_THREADS)]
    try:
        assert opened[-1].recv(1) == b""  # closed at once
        assert threading.active_count() <= MOST_THREADS
        for connection in opened:
            connection.close()
        for _ in range(100):  # until the threads have seen that
            if threading.active_count() < MOST_THREADS // 2:
                break
            time.sleep(0.1)
        with urlopen(server.url, timeout=20) as answer:
            assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_a_head_request_has_the_headers_alone(editor):
    server = ExplorerServer(explorer_of(editor), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        connection = HTTPConnection(*server.server_address, timeout=20)
        connection.request("HEAD", f"/{server.token}/face?face=0")
        answer = connection.getresponse()
        assert answer.status == 200 and int(answer.headers["Content-Length"]) > 0 and answer.read() == b""
        connection.request("GET", f"/{server.token}/face?face=0")  # on the same connection: no body was left in it
        assert connection.getresponse().read().startswith(b"\x89PNG")
    finally:
        server.shutdown()
        server.server_close()
