"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HALF_VIEW = 1.04; // the picture shows [-1.04, 1.04], the space is [-1, 1]
const STEP = 0.02;
const LARGE_STEP = 0.1;

const at = (id) => document.getElementById(id);
const state = { face: 0, x: 0, y: 0 };
let space = null;
let wanted = false; // something has moved since the last request was sent
let busy = false;

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

function drawSpace() {
  const svg = at("space");
  make("image", { href: "space.png", x: -1, y: -1, width: 2, height: 2 }, svg);
  const clip = make("clipPath", { id: "square" }, svg);
  make("rect", { x: -1, y: -1, width: 2, height: 2 }, clip);
  const spreads = make("g", { "clip-path": "url(#square)" }, svg);
  for (const { colour, ellipse, axis } of space.emotions) {
    const line = { stroke: colour, "stroke-width": 0.012 };
    if (ellipse) {
      make("ellipse", {
        cx: 0, cy: 0, rx: ellipse.width / 2, ry: ellipse.height / 2, fill: colour, "fill-opacity": 0.12,
        transform: `translate(${ellipse.x} ${-ellipse.y}) rotate(${-ellipse.degrees})`, ...line,
      }, spreads);
    }
    if (axis) make("line", { x1: 0, y1: 0, x2: axis[0], y2: -axis[1], ...line }, spreads);
  }
  make("rect", { x: -1, y: -1, width: 2, height: 2, fill: "none", stroke: "#444", "stroke-width": 0.006 }, svg);
  make("line", { class: "cross", id: "vertical", y1: -1, y2: 1 }, svg);
  make("line", { class: "cross", id: "horizontal", x1: -1, x2: 1 }, svg);
  for (const { colour, centre } of space.emotions) {
    make("circle", { cx: centre[0], cy: -centre[1], r: 0.024, fill: colour, stroke: "#fff", "stroke-width": 0.008 }, svg);
  }
  for (const { name, label } of space.emotions) make("text", { x: label[0], y: -label[1] }, svg).textContent = name;
  make("circle", { class: "point", id: "point", r: 0.05 }, svg);
}

function addBars(list) {
  for (const { name, colour } of space.emotions) {
    const row = document.createElement("li");
    const parts = ["name", "track", "percent"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      row.append(part);
      return part;
    });
    parts[0].textContent = name;
    const fill = document.createElement("div");
    fill.className = "fill";
    fill.style.background = colour;
    parts[1].append(fill);
    list.append(row);
  }
}

function showBars(list, shares, original) {
  [...list.children].forEach((row, i) => {
    row.querySelector(".fill").style.width = `${100 * shares[i]}%`;
    row.querySelector(".percent").textContent = `${Math.round(100 * shares[i])} %`;
    if (!original) return;
    let tick = row.querySelector(".tick");
    if (!tick) {
      tick = document.createElement("div");
      tick.className = "tick";
      row.querySelector(".track").append(tick);
    }
    tick.style.left = `${100 * original[i]}%`;
  });
}

function addFaces() {
  space.faces.forEach(({ title }, face) => {
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.src = `face?face=${face}`;
    image.alt = `face ${face + 1}, `;
    const name = document.createElement("span");
    name.textContent = title;
    button.append(image, name);
    button.addEventListener("click", () => chooseFace(face));
    at("strip").append(button);
  });
  at("strip").hidden = space.faces.length < 2;
}

function addCentres() {
  for (const { name, colour, centre } of space.emotions) {
    const button = document.createElement("button");
    button.type = "button";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    button.append(swatch, name);
    button.addEventListener("click", () => moveTo(...centre));
    at("centres").append(button);
  }
}

function chooseFace(face) {
  state.face = face;
  [...at("strip").children].forEach((button, i) => button.setAttribute("aria-pressed", i === face));
  at("original").src = `face?face=${face}`;
  at("title").textContent = space.faces[face].title;
  refresh();
}

function moveTo(x, y) {
  const clipped = [x, y].map((value) => Math.round(1000 * Math.min(1, Math.max(-1, value))) / 1000);
  [state.x, state.y] = clipped;
  for (const [axis, value] of [["x", state.x], ["y", state.y]]) {
    at(axis).value = value;
    at(`${axis}-value`).textContent = value.toFixed(2);
  }
  at("point").setAttribute("cx", state.x);
  at("point").setAttribute("cy", -state.y);
  for (const end of ["x1", "x2"]) at("vertical").setAttribute(end, state.x);
  for (const end of ["y1", "y2"]) at("horizontal").setAttribute(end, -state.y);
  refresh();
}

// One request is under way at a time; when it is back, the newest point is asked for and those between are left out.
async function refresh() {
  wanted = true;
  if (busy) return;
  busy = true;
  try {
    while (wanted) {
      wanted = false;
      await show({ ...state });
      at("problem").hidden = true;
    }
  } catch (error) {
    at("problem").textContent = `No picture came (${error.message}). Is the command still running?`;
    at("problem").hidden = false;
  } finally {
    busy = false;
  }
}

async function show({ face, x, y }) {
  const query = `face=${face}&x=${x}&y=${y}`;
  const picture = await (await ask(`edit?${query}`)).blob();
  const edited = at("edited");
  const old = edited.src;
  edited.src = URL.createObjectURL(picture);
  await edited.decode();
  if (old) URL.revokeObjectURL(old);
  const { mixture, prediction } = await (await ask(`prediction?${query}`)).json();
  showBars(at("mixture"), mixture);
  showBars(at("prediction"), prediction, space.faces[face].prediction);
  document.body.dataset.shown = query;
}

async function ask(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

function listen() {
  const svg = at("space");
  let dragging = false;
  const follow = (event) => {
    const box = svg.getBoundingClientRect();
    const part = (value, start, length) => ((value - start) / length) * 2 * HALF_VIEW - HALF_VIEW;
    moveTo(part(event.clientX, box.left, box.width), -part(event.clientY, box.top, box.height));
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragging = true;
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => dragging && follow(event));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { dragging = false; });
  svg.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const step = event.shiftKey ? LARGE_STEP : STEP;
    moveTo(state.x + step * way[0], state.y + step * way[1]);
  });
  for (const axis of ["x", "y"]) {
    at(axis).addEventListener("input", () => moveTo(Number(at("x").value), Number(at("y").value)));
  }
}

async function start() {
  space = await (await ask("space")).json();
  at("generator").textContent = `generator ${space.generator}, ${space.parametrisation}`;
  at("classifier").textContent = `${space.classifier}; the black tick is its prediction for the original`;
  drawSpace();
  addFaces();
  addCentres();
  addBars(at("mixture"));
  addBars(at("prediction"));
  listen();
  chooseFace(0);
  moveTo(...space.emotions.find(({ name }) => name === "Neutral").centre);
  at("space").focus({ preventScroll: true });
}

start().catch((error) => {
  at("problem").textContent = `The page could not start (${error.message}). Is the command still running?`;
  at("problem").hidden = false;
});
