"use strict";
// Which faces the figures are of: one split at a time, the same in every section.
const splits = document.querySelectorAll("[data-split]");
const choices = document.querySelectorAll("[data-choose]");
function choose(split) {
  for (const part of splits) part.hidden = part.dataset.split !== split;
  for (const button of choices) button.setAttribute("aria-pressed", button.dataset.choose === split);
}
for (const button of choices) {
  button.addEventListener("click", () => {
    const before = button.getBoundingClientRect().top;
    choose(button.dataset.choose);
    window.scrollBy(0, button.getBoundingClientRect().top - before);
  });
}
for (const group of document.querySelectorAll(".switch")) group.hidden = false;
if (choices.length) choose(choices[0].dataset.choose);

// A command is copied with a click, where the browser lets a page do so.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "copied";
    } catch {
      button.textContent = "not allowed";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

// A picture is shown as large as the window, until the next click or Escape.
const dialog = document.createElement("dialog");
const large = dialog.appendChild(document.createElement("img"));
document.body.append(dialog);
dialog.addEventListener("click", () => dialog.close());
for (const picture of document.querySelectorAll("figure img")) {
  const show = () => {
    large.src = picture.src;
    large.alt = picture.alt;
    dialog.showModal();
  };
  picture.tabIndex = 0;
  picture.setAttribute("role", "button");
  picture.classList.add("opens");
  picture.addEventListener("click", show);
  picture.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      show();
    }
  });
}
