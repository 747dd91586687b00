// A line whose corners are dragged, by pointer, finger or arrow keys.
import { panel, svg } from "./plots.js";

const LEAST = 0.005;  // between two places
const KEYS = {
  ArrowUp: [0, 0.02], ArrowDown: [0, -0.02], ArrowRight: [0.01, 0], ArrowLeft: [-0.01, 0],
  PageUp: [0, 0.2], PageDown: [0, -0.2],
};

// onChange(points) is called with the new corners [place in [0, 1], height >= 0].
export function editor(title, onChange) {
  const made = panel(title, { height: 280 });
  made.picture.setAttribute("role", "group");
  let points = [], held = null, top = 2, other = null, handles = [];
  made.ondraw = place;

  function show(corners, reference) {
    points = corners;
    other = reference;
    const highest = Math.max(...points.map(([, h]) => h));
    if (held === null) top = Math.max(1.5, highest * 1.1);
    made.draw({
      x: { label: "share of the run", range: [-0.02, 1.02] },
      y: { label: "step · √(N + 1)", range: [0, top] },
      series: [other, { name: "your schedule", x: points.map(([u]) => u),
        y: points.map(([, h]) => h), color: 0, width: 2.4 }],
      summary: `${points.length} points.`,
    });
  }

  function place() {
    if (!made.scale) return;
    while (handles.length < points.length) handles.push(handle(handles.length));
    handles.splice(points.length).forEach((one) => one.remove());
    points.forEach(([u, h], i) => {
      const one = handles[i];
      one.setAttribute("transform", `translate(${made.scale.px(u)} ${made.scale.py(h)})`);
      one.setAttribute("aria-valuenow", h.toFixed(3));
      one.setAttribute("aria-valuemax", Math.max(top, h).toFixed(3));
      one.setAttribute("aria-valuetext", `height ${h.toFixed(2)} at ${Math.round(100 * u)}%`);
      one.setAttribute("aria-label", `point ${i + 1} of ${points.length}`);
    });
  }

  function handle(i) {
    const one = svg("g", { class: "handle", tabindex: 0, role: "slider", "aria-valuemin": 0,
      "aria-orientation": "vertical" }, made.front);
    svg("circle", { r: 17, class: "reach" }, one);
    svg("circle", { r: 6.5, class: "knob" }, one);
    one.addEventListener("pointerdown", (event) => {
      held = { i, x: made.scale.px(points[i][0]) - event.clientX,
        y: made.scale.py(points[i][1]) - event.clientY };
      one.setPointerCapture(event.pointerId);
      one.focus({ preventScroll: true });
      event.preventDefault();
    });
    // touch-action is not heeded within a picture: without this the page would scroll
    one.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    one.addEventListener("pointermove", (event) => {
      if (held?.i === i)
        move(i, made.scale.x(event.clientX + held.x), made.scale.y(event.clientY + held.y));
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      one.addEventListener(end, () => {
        if (held?.i !== i) return;
        held = null;
        show(points, other);
      });
    one.addEventListener("keydown", (event) => {
      const by = KEYS[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();  // a notebook has its own use for arrow keys
      move(i, points[i][0] + by[0], points[i][1] + by[1]);
    });
    return one;
  }

  function move(i, u, h) {
    const last = points.length - 1;
    const low = i === 0 ? 0 : i === last ? 1 : points[i - 1][0] + LEAST;
    const high = i === 0 ? 0 : i === last ? 1 : points[i + 1][0] - LEAST;
    const limit = held === null ? 1000 : top;
    const to = [Math.min(Math.max(u, Math.min(low, points[i][0])), Math.max(high, points[i][0])),
      Math.min(Math.max(h, 0), limit)].map((v) => Number(v.toFixed(4)));
    onChange(points.map((p, j) => (j === i ? to : p)));
  }

  return { figure: made.figure, show };
}
