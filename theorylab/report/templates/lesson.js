"use strict";
// Charts of a lesson: arrays over a grid of sliders, drawn as SVG. A slider that plays is a clock.
(function () {
  const NS = "http://www.w3.org/2000/svg";
  const charts = JSON.parse(document.getElementById("lesson-data").textContent);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const SUPER = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

  const power = (exponent) => "10" + String(exponent).replace(/./g, (digit) => SUPER[digit]);
  const escaped = (text) => text.replace(/[&<>"]/g, (sign) => "&#" + sign.charCodeAt(0) + ";");

  function number(value) {
    if (Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return "diverged";
    const size = Math.abs(value);
    if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(3))).replace("-", "−");
    const [digits, exponent] = value.toExponential(1).split("e");
    const head = Number(digits);
    return ((head === 1 ? "" : head + "·") + power(Number(exponent))).replace("-", "−");
  }

  function decode(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    packed.values = new Float32Array(bytes.buffer);
    packed.size = packed.tail.reduce((a, b) => a * b, 1);
  }

  // The drawing of an array at a point of the grid; an axis of length one is the same for all its slider's values.
  function at(packed, point) {
    let place = 0;
    packed.over.forEach((length, axis) => { place = place * length + (length === 1 ? 0 : point[axis]); });
    return packed.values.subarray(place * packed.size, (place + 1) * packed.size);
  }

  function make(tag, attributes, parent) {
    const element = document.createElement(tag);
    for (const name in attributes) {
      if (name === "text") element.textContent = attributes[name];
      else element.setAttribute(name, attributes[name]);
    }
    if (parent) parent.append(element);
    return element;
  }

  // Axes: a scale is {to(value) -> pixel, ticks: [[pixel, text], ...]}.
  function scale(axis, from, to) {
    const turn = axis.log ? Math.log10 : (value) => value;
    const low = turn(axis.low), high = turn(axis.high);
    const place = (value) => from + ((turn(value) - low) / (high - low)) * (to - from);
    const most = Math.max(2, Math.floor(Math.abs(to - from) / (axis.vertical ? 36 : 62)));
    const decades = axis.log && high - low >= 1.5;
    const step = decades ? Math.max(1, Math.ceil((high - low) / most)) : nice(((axis.log ? axis.high - axis.low : high - low)) / most);
    const [first, last] = axis.log && !decades ? [axis.low, axis.high] : [low, high];
    const ticks = [];
    for (let k = Math.ceil(first / step - 1e-9); k * step <= last + 1e-9 * Math.abs(last) + step * 1e-9; k++) {
      const value = decades ? 10 ** (k * step) : Number((k * step).toPrecision(12));
      if (axis.log && value <= 0) continue;
      const text = decades ? (k === 0 ? "1" : power(k * step)) : number(value);
      ticks.push([place(value), text]);
    }
    return { to: place, ticks };
  }

  function nice(rough) {
    const unit = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999) * unit;
  }

  // Points outside the frame stay near it, so that lines leave it in the right direction.
  function pixel(value, axis, to, far) {
    if (Number.isNaN(value) || (axis.log && value <= 0)) return NaN;
    return value === Infinity ? far : Math.max(-4000, Math.min(8000, to(value)));
  }

  function runs(xs, ys) {
    const found = [];
    let open = null;
    xs.forEach((x, k) => {
      if (Number.isNaN(x) || Number.isNaN(ys[k])) { open = null; return; }
      if (!open) found.push((open = []));
      open.push(k);
    });
    return found;
  }

  const join = (run, xs, ys) => run.map((k) => xs[k].toFixed(1) + "," + ys[k].toFixed(1)).join("L");

  function curve(layer, panel, frame, point, clock) {
    const shown = layer.grows ? point[clock] + 1 : Infinity;
    const take = (packed) => Array.from(at(packed, point).slice(0, shown));
    const across = (v) => pixel(v, panel.x, frame.x.to, 8000);
    const up = (v) => pixel(v, panel.y, frame.y.to, -4000);
    const xs = take(layer.x).map(across), ys = take(layer.y).map(up);
    let text = "";
    if (layer.low) {
      const lows = take(layer.low).map(up), highs = take(layer.high).map(up);
      for (const run of runs(xs, lows.map((low, k) => low + highs[k]))) {
        text += `<path class="band" d="M${join(run, xs, highs)}L${join(run.slice().reverse(), xs, lows)}Z"/>`;
      }
    }
    if (layer.draw === "steps") return text + steps(xs, ys, frame);
    for (const run of layer.draw === "points" ? [] : runs(xs, ys)) {
      if (run.length > 1) text += `<path class="line" d="M${join(run, xs, ys)}"/>`;
    }
    const dots = layer.draw === "line" ? (layer.grows ? [xs.length - 1] : []) : xs.keys();
    for (const k of dots) {
      if (!Number.isNaN(xs[k] + ys[k])) text += `<circle cx="${xs[k].toFixed(1)}" cy="${ys[k].toFixed(1)}" r="${layer.draw === "both" ? 3 : 4.5}"/>`;
    }
    return text;
  }

  function steps(xs, ys, frame) {
    let path = "";
    for (let k = 0; k + 1 < xs.length; k++) {
      if (Number.isNaN(xs[k] + ys[k])) continue;
      path += `${path ? "L" : `M${xs[k].toFixed(1)},${frame.bottom}L`}${xs[k].toFixed(1)},${ys[k].toFixed(1)}L${xs[k + 1].toFixed(1)},${ys[k].toFixed(1)}`;
    }
    return path && `<path class="steps" d="${path}L${xs[xs.length - 1].toFixed(1)},${frame.bottom}"/>`;
  }

  function bars(layer, place, count, panel, frame, point) {
    const heights = Array.from(at(layer.y, point));
    const slot = (frame.right - frame.left) / heights.length;
    const base = panel.y.log || panel.y.low > 0 ? frame.bottom : frame.y.to(0);
    return heights.map((height, k) => {
      const y = pixel(height, panel.y, frame.y.to, frame.top);
      if (Number.isNaN(y)) return "";
      const left = frame.left + k * slot;
      if (layer.role === "bound") return `<path class="line" d="M${(left + slot * 0.08).toFixed(1)},${y.toFixed(1)}h${(slot * 0.84).toFixed(1)}"/>`;
      const width = (slot * 0.72) / count;
      const x = left + slot * 0.14 + place * width;
      return `<rect x="${x.toFixed(1)}" width="${width.toFixed(1)}" y="${Math.min(y, base).toFixed(1)}" height="${Math.max(Math.abs(base - y), 0.5).toFixed(1)}"/>`;
    }).join("");
  }

  function cells(layer, frame, point) {
    const [rows, columns] = layer.y.tail;
    const values = at(layer.y, point);
    const side = Math.min((frame.right - frame.left) / columns, (frame.bottom - frame.top) / rows);
    const left = (frame.left + frame.right - side * columns) / 2;
    let text = `<rect class="sheet" x="${left}" y="${frame.top}" width="${side * columns}" height="${side * rows}"/>`;
    values.forEach((value, k) => {
      const strength = Math.min(Math.abs(value) / layer.largest, 1);
      if (!(strength > 0.004)) return;
      const x = left + (k % columns) * side, y = frame.top + Math.floor(k / columns) * side;
      text += `<rect class="${value < 0 ? "minus" : "plus"}" x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${(side * 0.96).toFixed(2)}" height="${(side * 0.96).toFixed(2)}" fill-opacity="${strength.toFixed(3)}"/>`;
    });
    return text;
  }

  // A panel draws its axes once for a width, its layers at every move.
  function panelOf(panel, box, clock, controls) {
    const kind = panel.layers[0].kind;
    const figure = make("div", { class: "panel" }, box);
    if (panel.title) make("p", { class: "panel-title", text: panel.title }, figure);
    const svg = figure.appendChild(document.createElementNS(NS, "svg"));
    svg.setAttribute("role", "img");
    const clip = "clip" + document.querySelectorAll("svg").length;
    const legend = make("ul", { class: "legend" }, figure);
    panel.y.vertical = true;
    let frame = null, moving = null, listed = "";
    const role = (layer) => `as-${layer.role}` + (layer.role === "control" ? ` turn-${controls.indexOf(layer.name)}` : "");

    function lay(width) {
      const height = Math.round(Math.min(Math.max(width * 0.62, 230), kind === "cells" ? 420 : 360));
      frame = kind === "cells" ? { left: 26, right: width - 6, top: 6, bottom: height - 26 } : { left: 62, right: width - 12, top: 10, bottom: height - 46 };
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const middle = (frame.left + frame.right) / 2, centre = (frame.top + frame.bottom) / 2;
      let text = `<clipPath id="${clip}"><rect x="${frame.left}" y="${frame.top - 1}" width="${frame.right - frame.left}" height="${frame.bottom - frame.top + 2}"/></clipPath><g class="axes">`;
      if (kind !== "cells") {
        frame.y = scale(panel.y, frame.bottom, frame.top);
        for (const [y, label] of frame.y.ticks) text += `<path class="grid" d="M${frame.left},${y.toFixed(1)}H${frame.right}"/><text x="${frame.left - 6}" y="${(y + 4).toFixed(1)}" text-anchor="end">${label}</text>`;
        if (kind === "curve") frame.x = scale(panel.x, frame.left, frame.right);
        const slot = (frame.right - frame.left) / (panel.layers[0].labels || [1]).length;
        const ticks = kind === "curve" ? frame.x.ticks : panel.layers[0].labels.map((label, k) => [frame.left + (k + 0.5) * slot, escaped(label)]);
        for (const [x, label] of ticks) text += `<text x="${x.toFixed(1)}" y="${frame.bottom + 17}" text-anchor="middle">${label}</text>` + (kind === "curve" ? `<path class="grid" d="M${x.toFixed(1)},${frame.top}V${frame.bottom}"/>` : "");
        text += `<path class="edge" d="M${frame.left},${frame.top}V${frame.bottom}H${frame.right}"/>`;
      }
      text += `<text class="label" x="${middle}" y="${height - 6}" text-anchor="middle">${escaped(panel.x.label)}</text><text class="label" transform="translate(14 ${centre}) rotate(-90)" text-anchor="middle">${escaped(panel.y.label)}</text></g>`;
      svg.innerHTML = text + `<g clip-path="url(#${clip})"></g>`;
      moving = svg.lastElementChild;
    }

    function draw(point, hidden) {
      const there = panel.layers.filter((layer) => !hidden(layer));
      const solid = there.filter((layer) => layer.kind === "bars" && layer.role !== "bound");
      const drawn = kind === "cells" ? there.slice(-1) : there; // the control's cells take the place of the others
      moving.innerHTML = drawn.map((layer) => {
        const inside = layer.kind === "curve" ? curve(layer, panel, frame, point, clock)
          : layer.kind === "bars" ? bars(layer, solid.indexOf(layer), solid.length, panel, frame, point)
          : cells(layer, frame, point);
        return `<g class="layer ${role(layer)}">${inside}</g>`;
      }).join("");
      const names = kind === "cells" ? "" : there.map((layer) =>
        `<li class="layer ${role(layer)} ${layer.kind} draw-${layer.draw || ""}"><svg viewBox="0 0 30 12" aria-hidden="true"><path class="line" d="M1,6H29"/><circle cx="15" cy="6" r="3"/><rect x="8" width="14" y="1" height="10"/></svg>${escaped(layer.name)}</li>`).join("");
      if (names !== listed) legend.innerHTML = listed = names; // it changes with the controls only
    }

    function words(point, hidden) {
      return panel.layers.filter((layer) => !hidden(layer)).map((layer) => {
        const values = Array.from(at(layer.y, point)).slice(0, layer.grows ? point[clock] + 1 : undefined);
        if (layer.kind === "bars") return `${layer.name}: ` + values.map((value, k) => `${layer.labels[k]} ${number(value)}`).slice(0, 12).join(", ");
        const known = values.filter((value) => !Number.isNaN(value));
        if (!known.length) return `${layer.name}: nothing here`;
        if (layer.kind === "cells") return `${layer.name}: from ${number(known.reduce((a, b) => Math.min(a, b)))} to ${number(known.reduce((a, b) => Math.max(a, b)))}`;
        const xs = at(layer.x, point);
        const last = values.length - 1;
        if (layer.draw === "points" || layer.draw === "steps") return `${layer.name}: between ${number(Math.min(...known))} and ${number(Math.max(...known))}`;
        return `${layer.name}: ${number(values[0])} at ${number(xs[0])}` + (last ? `, ${number(values[last])} at ${number(xs[last])}` : "");
      }).join("; ");
    }

    return { lay, draw, words, svg, figure };
  }

  function controlsOf(chart) {
    const everything = chart.panels.flatMap((panel) => panel.layers).concat(chart.readouts);
    return [...new Set(everything.filter((layer) => layer.role === "control").map((layer) => layer.name))];
  }

  function steer(chart, names, state, box) {
    const clock = chart.sliders.findIndex((slider) => slider.plays);
    const form = make("div", { class: "controls" }, box);
    chart.sliders.forEach((slider, axis) => {
      const label = make("label", { class: slider.plays ? "slider clock" : "slider" });
      const head = make("span", { class: "slider-name", text: slider.name + " " }, label);
      const value = make("output", {}, head);
      const input = make("input", { type: "range", min: 0, max: slider.values.length - 1, step: 1, value: slider.at, autocomplete: "off" }, label);
      input.addEventListener("input", () => {
        if (axis === clock) { state.stop(); state.touched = true; }
        state.move(axis, Number(input.value));
      });
      state.followers.push(() => {
        input.value = state.point[axis];
        value.textContent = slider.values[state.point[axis]];
        input.setAttribute("aria-valuetext", slider.values[state.point[axis]]);
      });
      form.append(label);
      if (axis === clock) buttons(slider, axis, state, form);
    });
    const row = names.length ? make("div", { class: "controls" }, box) : null;
    for (const name of names) {
      const button = make("button", { type: "button", class: "toggle", "aria-pressed": "false", text: "Control: " + name.replace(/^control:? */i, "") }, row);
      button.addEventListener("click", () => {
        const on = state.on.has(name);
        state.on[on ? "delete" : "add"](name);
        button.setAttribute("aria-pressed", String(!on));
        state.refresh();
      });
    }
  }

  function buttons(slider, axis, state, form) {
    const row = make("span", { class: "player", role: "group", "aria-label": "Animation" }, form);
    const last = slider.values.length - 1;
    const add = (text, label, act) => {
      const button = make("button", { type: "button", text, "aria-label": label, title: label }, row);
      button.addEventListener("click", () => { act(); state.touched = true; });
      return button;
    };
    add("|◀", "To the start", () => { state.stop(); state.move(axis, 0); });
    add("◀", "One step back", () => { state.stop(); state.move(axis, Math.max(state.point[axis] - 1, 0)); });
    const play = add("▶ Play", "Play", () => (state.timer ? state.stop() : start()));
    add("▶|", "One step forward", () => { state.stop(); state.move(axis, Math.min(state.point[axis] + 1, last)); });
    play.classList.add("play");
    const motion = () => { play.hidden = still.matches; if (still.matches) state.stop(); };
    still.addEventListener("change", motion);
    motion();

    function start() {
      if (!state.touched || state.point[axis] === last) state.move(axis, 0);
      state.touched = true;
      const from = state.point[axis];
      let began = null;
      const tick = (now) => {
        began = began === null ? now : began;
        const place = Math.min(from + Math.floor(((now - began) / 1000 / slider.seconds) * last), last);
        if (place !== state.point[axis]) state.move(axis, place);
        if (place === last) state.stop();
        else state.timer = requestAnimationFrame(tick);
      };
      state.timer = requestAnimationFrame(tick);
      label();
    }
    function label() {
      const text = state.timer ? "⏸ Pause" : "▶ Play";
      play.textContent = text;
      play.setAttribute("aria-label", text.slice(2));
    }
    state.stop = () => {
      if (state.timer) cancelAnimationFrame(state.timer);
      state.timer = 0;
      label();
      state.tell();
    };
  }

  function build(chart, box) {
    for (const panel of chart.panels) for (const layer of panel.layers) for (const name of ["x", "y", "low", "high"]) {
      if (layer[name] && layer[name].data) decode(layer[name]);
    }
    for (const readout of chart.readouts) decode(readout.y);
    const clock = chart.sliders.findIndex((slider) => slider.plays);
    const state = { point: chart.sliders.map((slider) => slider.at), on: new Set(), followers: [], timer: 0, touched: false, stop() {} };
    const hidden = (layer) => layer.role === "control" && !state.on.has(layer.name);
    const controls = controlsOf(chart);
    steer(chart, controls, state, box);
    const place = make("div", { class: "panels n" + chart.panels.length }, box);
    const panels = chart.panels.map((panel) => panelOf(panel, place, clock, controls));
    const numbers = make("dl", { class: "readouts" }, box);
    const heard = make("p", { class: "heard", "aria-live": "polite" }, box);
    const words = make("details", { class: "says" }, box);
    make("summary", { text: "The same in words" }, words);
    const says = make("p", {}, words);

    function tell() {
      const where = chart.sliders.map((slider, axis) => `${slider.name} ${slider.values[state.point[axis]]}`).join(", ");
      const text = panels.map((panel) => panel.words(state.point, hidden)).join("; ");
      says.textContent = heard.textContent = `${where}: ${text}.`;
      for (const panel of panels) panel.svg.setAttribute("aria-label", `${chart.title}. ${says.textContent}`);
    }
    let later = 0;
    state.tell = () => {
      clearTimeout(later);
      if (!state.timer) later = setTimeout(tell, 150); // whoever listens need not hear every position passed
    };
    state.refresh = () => {
      for (const panel of panels) panel.draw(state.point, hidden);
      for (const follow of state.followers) follow();
      numbers.innerHTML = chart.readouts.filter((readout) => !hidden(readout)).map((readout) =>
        `<div class="as-${readout.role}"><dt>${escaped(readout.name)}</dt><dd>${number(at(readout.y, state.point)[0])} ${escaped(readout.unit)}</dd></div>`).join("");
      state.tell();
    };
    state.move = (axis, value) => { state.point[axis] = value; state.refresh(); };
    let width = 0;
    new ResizeObserver(() => {
      const room = Math.floor(panels[0].figure.clientWidth);
      if (room === width || room < 50) return;
      width = room;
      for (const panel of panels) panel.lay(room);
      state.refresh();
    }).observe(place);
    for (const panel of panels) panel.lay(600);
    state.refresh();
    tell();
  }

  document.documentElement.classList.add("js");
  document.querySelectorAll(".stage").forEach((box) => build(charts[Number(box.dataset.chart)], box));
})();
