"""A local page over HTTP: the space, the faces, and a face edited at a point, computed as the point moves.

Everything that is sent is held in memory: no part of a request becomes a path. The server listens on 127.0.0.1
alone and answers only requests that name it so, know the token in the address that was printed (other users of the
machine do not), and do not come from another site's page.
"""

import hmac
import io
import json
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from EmotionGAN.editor import Editor
from EmotionGAN.figures.space import axis_ends, background, ellipses, label_places, shares_at

HOST = "127.0.0.1"
OWN_NAMES = (HOST, "localhost")
OWN_SITES = ("none", "same-origin")  # of Sec-Fetch-Site: an address that was typed, and what the page asks for
PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
MOST_THREADS = 64  # of this process; a page has at most a few connections
LABEL_HEIGHT = 0.085  # of an emotion's name, in units of the square; page.css knows it too
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Predict = Callable[[Tensor], Tensor]  # faces uint8 [B,H,W] -> a classifier's probabilities float [B,7]


class BadRequest(Exception):
    """A request that cannot be answered; the message is one line."""


class Answer(NamedTuple):
    status: int
    kind: str
    body: bytes


class Explorer:
    """Faces, a generator and a classifier; answers the page's requests.

    faces: uint8 [N,H,W]; titles: N of them; predict: a classifier's probabilities; classifier: its name. One
    thread computes, however many connections there are.
    """

    def __init__(
        self, editor: Editor, faces: Tensor, titles: list[str], predict: Predict, classifier: str
    ) -> None:  # fmt: skip
        self.editor, self.faces, self.titles = editor, faces, titles
        self.predict, self.classifier = predict, classifier
        self.worker = ThreadPoolExecutor(1)
        self.cached_edit = lru_cache(maxsize=64)(self.edit)  # the page asks for a picture and its prediction separately
        folder = Path(__file__).parent
        self.fixed = {path: Answer(200, kind, (folder / name).read_bytes()) for path, (name, kind) in PAGE.items()}
        self.fixed["/space"] = as_json(200, self.describe())
        self.fixed["/space.png"] = as_png(background(editor.generator))
        self.computed = {"/face": self.answer_face, "/edit": self.answer_edit, "/prediction": self.answer_prediction}

    def describe(self) -> dict[str, Any]:
        """All that the page needs to know to draw the space and the list of faces."""
        space = self.editor.space
        shapes = ellipses(self.editor.generator)
        ends = [None] * 7 if shapes else axis_ends(space)
        places = label_places(space.centres.tolist(), space.emotions, LABEL_HEIGHT)
        predictions = self.predict(self.faces).tolist()
        return {
            "generator": self.editor.name,
            "parametrisation": self.editor.generator.config.parametrisation,
            "classifier": self.classifier,
            "emotions": [
                {"name": emotion, "colour": EMOTION_COLOURS[i], "centre": space.centres[i].tolist(),
                 "label": places[i], "ellipse": shapes[i]._asdict() if shapes else None, "axis": ends[i]}
                for i, emotion in enumerate(space.emotions)
            ],
            "faces": [
                {"title": title, "prediction": prediction}
                for title, prediction in zip(self.titles, predictions, strict=True)
            ],
        }  # fmt: skip

    def answer(self, target: str) -> Answer:
        """Answer a GET of `target` (a path with a query): 404 for an unknown path, 400 for a wrong query."""
        try:
            parts = urlsplit(target)
            if parts.path in self.fixed:
                return self.fixed[parts.path]
            if parts.path not in self.computed:
                return as_json(404, {"error": "no such page"})
            return self.computed[parts.path](parts.query)
        except (BadRequest, ValueError) as error:
            return as_json(400, {"error": " ".join(str(error).split())})

    def answer_face(self, query: str) -> Answer:
        """/face?face=0: the face as it is, a grey PNG."""
        (face,) = parameters(query, face=self.face_row)
        return as_png(self.faces[face].numpy())

    def answer_edit(self, query: str) -> Answer:
        """/edit?face=0&x=0.5&y=-0.5: the face at a point of [-1,1]^2, a grey PNG."""
        wanted = parameters(query, face=self.face_row, x=coordinate, y=coordinate)
        return as_png(self.worker.submit(self.cached_edit, *wanted).result().numpy())

    def answer_prediction(self, query: str) -> Answer:
        """/prediction?face=0&x=0.5&y=-0.5: seven shares each of the point's mixture of emotions and of the classifier's
        prediction for the face there."""
        face, x, y = parameters(query, face=self.face_row, x=coordinate, y=coordinate)
        mixture = shares_at(self.editor.generator, torch.tensor([[x, y]]))[0]
        prediction = self.worker.submit(lambda: self.predict(self.cached_edit(face, x, y)[None])[0]).result()
        return as_json(200, {"mixture": mixture.tolist(), "prediction": prediction.tolist()})

    def edit(self, face: int, x: float, y: float) -> Tensor:
        """The face at a point: uint8 [H,W] on the CPU."""
        return self.editor.edit(self.faces[face : face + 1], torch.tensor([[x, y]]))[0].cpu()

    def face_row(self, text: str) -> int:
        """The row of a face. Raises BadRequest."""
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(self.faces)):
            raise BadRequest(f"face: expected a whole number from 0 to {len(self.faces) - 1}")
        return int(text)


def coordinate(text: str) -> float:
    """A number in [-1,1]. Raises BadRequest."""
    try:
        value = float(text)
    except ValueError:
        value = 2.0
    if not -1 <= value <= 1:
        raise BadRequest("x and y: expected numbers from -1 to 1")
    return value


def parameters(query: str, **kinds: Callable[[str], Any]) -> list[Any]:
    """The values of a query that has exactly the parameters in `kinds`, once each. Raises BadRequest."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=8)
    if sorted(name for name, _ in pairs) != sorted(kinds):
        raise BadRequest(f"expected the parameters {', '.join(kinds)}, once each")
    given = dict(pairs)
    return [kind(given[name]) for name, kind in kinds.items()]


def as_json(status: int, value: Any) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode() + b"\n")


def as_png(image: np.ndarray) -> Answer:
    """uint8 [H,W] or [H,W,3] as a PNG."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return Answer(200, "image/png", content.getvalue())


class Handler(BaseHTTPRequestHandler):
    """Passes requests to the explorer and sends its answers."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "EmotionGAN", ""
    timeout = 120  # seconds that a connection may be idle
    server: "ExplorerServer"

    def do_GET(self) -> None:
        """Answer, unless the request names another host (DNS rebinding), is another site's, or has not the token."""
        prefix = f"/{self.server.token}/"
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in OWN_NAMES:
            self.send(as_json(403, {"error": f"expected a request to {HOST} or localhost"}))
        elif self.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
            self.send(as_json(403, {"error": "expected a request of this page, not of another site's"}))
        elif not hmac.compare_digest(self.path[: len(prefix)].encode(), prefix.encode()):
            self.send(as_json(403, {"error": "expected the address that the command printed"}))
        else:
            self.send(self.server.explorer.answer(self.path[len(prefix) - 1 :]))

    do_HEAD = do_GET

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for header in HEADERS.items():
            self.send_header(*header)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors of http.server itself as JSON too."""
        self.close_connection = True
        self.send(as_json(int(code), {"error": message or self.responses.get(code, ("refused",))[0]}))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: one drag sends hundreds of requests."""


class ExplorerServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; port 0 takes any free one. Raises InputError when it is taken."""

    def __init__(self, explorer: Explorer, port: int) -> None:
        self.explorer = explorer
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise InputError(f"--port {port}: cannot be used ({error.strerror}); --port 0 takes a free one") from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def verify_request(self, request: Any, address: Any) -> bool:
        """Whether there is a thread for one more connection; others are closed."""
        return threading.active_count() < MOST_THREADS

    def handle_error(self, request: Any, address: Any) -> None:
        """Print exceptions, except those of closed connections."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, address)
