const specs = JSON.parse(document.getElementById("specs").textContent);
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const toggle = document.getElementById("theme");

// Figures

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : prefersDark.matches;
}

function config(keyed) {
  const dark = isDark(), narrow = innerWidth < 600;
  const ink = dark ? "#c9d1d9" : "#3d444d", line = dark ? "#30363d" : "#e4e8ec", edge = dark ? "#57606a" : "#afb8c1";
  const text = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: edge, tickColor: edge, labelOverlap: true, titlePadding: 8 },
    axisX: { labelFlush: 20 }, // the number at an axis' end stays in the frame, however near that end it lies
    axisBand: { grid: false },
    legend: {
      ...text, orient: "top", symbolSize: 90, symbolOpacity: 1, offset: 6, disable: keyed, columns: narrow ? 1 : 3,
      layout: { top: { direction: narrow ? "vertical" : "horizontal", anchor: "start", margin: 14 } },
    },
  };
}

const views = new Map();
let drawing = 0;

async function draw() {
  const mine = ++drawing;
  toggle.textContent = isDark() ? "Light" : "Dark";
  toggle.setAttribute("aria-label", `Show this page ${isDark() ? "light" : "dark"}`);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = { ...structuredClone(specs[place.dataset.chart]), width: "container" };
    spec.config = config("keyed" in place.dataset);
    spec.autosize = { type: "fit-x", contains: "padding" };
    views.get(place)?.finalize();
    views.set(place, await vegaEmbed(place, spec, { renderer: "svg", actions: false }));
    const svg = place.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.label);
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive meanwhile
    if (mine !== drawing) return; // asked for again in other colours
  }
  document.documentElement.dataset.drawn = isDark() ? "dark" : "light";
}

toggle.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  draw();
});
prefersDark.addEventListener("change", draw);

// The table of trials

function table(element, rows) {
  const step = 200, count = rows.count, body = element.tBodies[0], head = element.tHead.insertRow();
  const more = document.getElementById("more"), filter = document.getElementById("filter");
  const columns = rows.columns.map(({ name, values, digits }) => {
    const all = Array.isArray(values) ? values : values.codes.map((code) => (code === null ? null : values.texts[code]));
    return { name, values: all, digits, isNumber: Array.isArray(values) && all.some((value) => typeof value === "number") };
  });
  let order = [...Array(count).keys()], limit = step, sorted = null, rising = true;

  function text({ values, digits }, row) {
    const value = values[row];
    return value === null ? "" : digits === undefined ? String(value) : value.toFixed(digits);
  }
  const lines = order.map((row) => columns.map((column) => text(column, row)).join(" ").toLowerCase());
  function matching() {
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return words.length ? order.filter((row) => words.every((word) => lines[row].includes(word))) : order;
  }
  function fill() {
    const found = matching();
    body.replaceChildren();
    for (const row of found.slice(0, limit)) {
      const line = body.insertRow();
      for (const column of columns) {
        const cell = line.insertCell();
        cell.textContent = text(column, row);
        if (column.isNumber) cell.className = "number";
      }
    }
    more.hidden = found.length <= limit;
    document.getElementById("count").textContent = `${found.length} of ${count} trials`;
  }
  function sort(index) {
    rising = sorted === index ? !rising : true;
    sorted = index;
    const values = columns[index].values;
    order.sort((a, b) => {
      const one = values[a], other = values[b];
      if (one === null || other === null) return (one === null) - (other === null); // those without a value last
      const before = one < other ? -1 : one > other ? 1 : 0;
      return rising ? before : -before;
    });
    [...head.cells].forEach((cell, at) => {
      cell.setAttribute("aria-sort", at === index ? (rising ? "ascending" : "descending") : "none");
    });
    fill();
  }
  columns.forEach((column, index) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (column.isNumber) cell.className = "number";
    cell.setAttribute("aria-sort", "none");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.name;
    button.addEventListener("click", () => sort(index));
    cell.append(button);
    head.append(cell);
  });
  filter.addEventListener("input", () => { limit = step; fill(); });
  more.addEventListener("click", () => { limit += step; fill(); });
  fill();
}

const trials = document.getElementById("table");
if (trials) table(trials, JSON.parse(document.getElementById("rows").textContent));
await draw();
