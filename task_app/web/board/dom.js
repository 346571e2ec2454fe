// Building the page. Text goes in as text, never as markup: the page's policy would refuse it.

import { initials, tint } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

export const find = (selector, root = document) => root.querySelector(selector);

// An element: `make("button", { class: "x", "aria-label": "…", onclick: f }, "text", child, …)`.
// Attributes that are null or false are left out; functions are listeners.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A picture of the sprite in index.html; what it means is said beside it.
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.append(use);
  return picture;
}

export function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Somebody's letters on their colour, for the eye alone: `content` of the style sheet shows them.
export function avatar(id, name, element = make("span")) {
  element.className = `avatar ${tint(id)}`;
  element.dataset.letters = initials(name);
  element.title = name;
  return element;
}

// The first element of a template in index.html.
export const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// Set a text only where it is another: an assignment alone would make the page lay out anew.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// For screen readers.
export function announce(text) {
  const place = find("#announcer");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

// Whether somebody is typing there.
export const isField = (element) => Boolean(element?.closest?.("input, textarea, select, dialog"));
