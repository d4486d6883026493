"use strict";
for (const input of document.querySelectorAll(".wipe input")) {
  const stack = input.closest(".wipe").querySelector(".stack");
  const set = () => stack.style.setProperty("--cut", `${input.value}%`);
  input.addEventListener("input", set);
  const follow = (event) => {
    const box = stack.getBoundingClientRect();
    input.value = (100 * (event.clientX - box.left)) / box.width;
    set();
  };
  stack.addEventListener("pointerdown", follow);
  stack.addEventListener("pointermove", (event) => event.buttons && follow(event));
}

const svg = document.querySelector(".matrix svg");
const { names, counts } = JSON.parse(document.getElementById("counts").textContent);
const cursor = svg.querySelector(".cursor");
const readout = document.querySelector(".readout");
const [left, above, side] = [svg.dataset.left, svg.dataset.top, svg.dataset.side].map(Number);

function show(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const column = Math.floor((point.x - left) / side);
  const row = Math.floor((point.y - above) / side);
  if (!(counts[row] && column in counts[row])) return;
  const total = counts[row].reduce((sum, count) => sum + count, 0);
  const share = total ? `${((100 * counts[row][column]) / total).toFixed(2)} % of ${names[row]}` : "no pixels";
  const truth = document.createElement("b");
  truth.textContent = names[row];
  const guess = document.createElement("b");
  guess.textContent = names[column];
  readout.replaceChildren(truth, " predicted as ", guess, `: ${counts[row][column].toLocaleString("en")} pixels, ${share}`);
  cursor.setAttribute("x", column * side);
  cursor.setAttribute("y", row * side);
  cursor.setAttribute("visibility", "visible");
}
svg.addEventListener("pointermove", show);
svg.addEventListener("pointerdown", show);
