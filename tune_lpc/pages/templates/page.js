const specs = JSON.parse(document.getElementById("specs").textContent);
const rows = JSON.parse(document.getElementById("rows").textContent);
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

// Figures

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : prefersDark.matches;
}

function config() {
  const dark = isDark();
  const ink = dark ? "#d6dbe0" : "#30363d", line = dark ? "#3d454f" : "#dfe3e8";
  const text = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500 };
  return {
    background: "transparent",
    font: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: line, tickColor: line, labelOverlap: true },
    legend: { ...text, orient: "top", symbolSize: 90, columns: 3 },
  };
}

async function draw() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = { ...structuredClone(specs[place.dataset.chart]), width: "container", config: config() };
    spec.autosize = { type: "fit-x", contains: "padding" };
    spec.description = place.dataset.label;
    await vegaEmbed(place, spec, { renderer: "svg", actions: false });
    const svg = place.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.label);
  }
  document.documentElement.dataset.drawn = isDark() ? "dark" : "light";
}

document.getElementById("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  draw();
});
prefersDark.addEventListener("change", draw);

// The table of trials

const table = document.getElementById("table");
if (table) {
  const columns = rows.columns, count = columns[0].values.length, step = 200;
  const head = table.tHead.insertRow(), body = table.tBodies[0];
  const more = document.getElementById("more"), filter = document.getElementById("filter");
  let order = [...Array(count).keys()], limit = step, sorted = null, rising = true;

  const text = (value) => (value === null ? "" : String(value));
  function matching() {
    const wanted = filter.value.trim().toLowerCase();
    if (!wanted) return order;
    return order.filter((row) => columns.some((column) => text(column.values[row]).toLowerCase().includes(wanted)));
  }
  function fill() {
    const found = matching();
    body.replaceChildren();
    for (const row of found.slice(0, limit)) {
      const line = body.insertRow();
      for (const column of columns) line.insertCell().textContent = text(column.values[row]);
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

await draw();
